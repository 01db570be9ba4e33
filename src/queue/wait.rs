//! About how long somebody waits yet: a range, learnt from how long this doctor's own consultations took. Nothing here reads a
//! database or a clock.

use poem_openapi::Object;
use serde::Serialize;

/// With fewer consultations than this nothing is learnt: then each takes as long as the doctor's slots are.
const ENOUGH: i64 = 5;

/// About how long somebody waits yet, in minutes: in half of all cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Object)]
pub struct WaitRange {
    pub from_minutes: i64,
    pub to_minutes: i64,
}

/// How long a doctor's consultations take, in seconds: a quarter of them less than the first, a quarter more than the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    short: f64,
    long: f64,
    /// Patients at one time.
    capacity: f64,
}

impl Pace {
    pub fn learnt(
        known: i64,
        quarters: Option<(f64, f64)>,
        slot_minutes: i32,
        capacity: i16,
    ) -> Self {
        let slot = f64::from(slot_minutes) * 60.0;
        let (short, long) = quarters.filter(|_| known >= ENOUGH).unwrap_or((slot, slot));
        Self { short, long, capacity: f64::from(capacity.max(1)) }
    }

    /// For somebody with so many `ahead`, while consultations have been under way for so many seconds.
    pub fn wait(&self, ahead: usize, under_way: &[f64]) -> WaitRange {
        let total = |each: f64| {
            let rest: f64 = under_way.iter().map(|gone| (each - gone.max(0.0)).max(0.0)).sum();
            (rest + each * ahead as f64) / self.capacity / 60.0
        };
        WaitRange {
            from_minutes: total(self.short).floor() as i64,
            to_minutes: total(self.long).ceil() as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wait_is_what_is_left_of_the_one_and_all_of_the_others() {
        let learnt = Pace::learnt(5, Some((600.0, 1200.0)), 30, 1);
        let range = |from_minutes, to_minutes| WaitRange { from_minutes, to_minutes };
        for (name, pace, ahead, under_way, expected) in [
            ("nobody before", learnt, 0, vec![], range(0, 0)),
            ("two before", learnt, 2, vec![], range(20, 40)),
            ("one inside since four minutes", learnt, 1, vec![240.0], range(16, 36)),
            ("one inside for longer than most", learnt, 1, vec![1500.0], range(10, 20)),
            ("half minutes are rounded apart", learnt, 0, vec![570.0], range(0, 11)),
            (
                "too few to learn from",
                Pace::learnt(4, Some((600.0, 1200.0)), 30, 1),
                1,
                vec![],
                range(30, 30),
            ),
            ("none to learn from", Pace::learnt(0, None, 15, 1), 2, vec![], range(30, 30)),
            ("two at a time", Pace::learnt(0, None, 15, 2), 2, vec![], range(15, 15)),
        ] {
            assert_eq!(pace.wait(ahead, &under_way), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn who_is_farther_behind_waits_no_less(
            (short, more) in (60.0..3600.0f64, 0.0..3600.0f64),
            known in 0..50i64, slot in 5..240i32, capacity in 1..5i16, ahead in 0..40usize,
            under_way in proptest::collection::vec(-60.0..7200.0f64, 0..4),
        ) {
            let pace = Pace::learnt(known, Some((short, short + more)), slot, capacity);

            let (here, behind) = (pace.wait(ahead, &under_way), pace.wait(ahead + 1, &under_way));

            prop_assert!(0 <= here.from_minutes && here.from_minutes <= here.to_minutes);
            prop_assert!(here.from_minutes <= behind.from_minutes && here.to_minutes <= behind.to_minutes);
        }
    }
}
