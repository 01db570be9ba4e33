//! The nearest series that can be: each visit stays, or moves to the free time that is closest to it, and none passes another.

use chrono::{DateTime, TimeDelta, Utc};

use super::LONGEST_DAYS;
use crate::appointments::book::{Booker, Choice, decided_by};
use crate::appointments::diary::Diary;
use crate::appointments::fitting;
use crate::appointments::model::AppointmentRequest;
use crate::doctors::hours::Span;

/// The last resort of a single visit: how far it moves at most.
const FARTHEST: TimeDelta = TimeDelta::days(7);

/// Half the way to its neighbours, so that two visits never want the same time.
fn reach(times: &[DateTime<Utc>], nth: usize) -> Span {
    let halfway = |other: DateTime<Utc>| times[nth] + (other - times[nth]) / 2;
    let from = nth.checked_sub(1).map(|before| halfway(times[before]));
    let to = times.get(nth + 1).map(|after| halfway(*after));
    let at = times[nth];
    Span::new(
        from.unwrap_or(at - TimeDelta::days(1)).max(at - FARTHEST),
        to.unwrap_or(at + TimeDelta::days(1)).min(at + FARTHEST),
    )
}

/// The times of a series that can be booked, as near as there is one to each that was asked for; none: one of them has no free time
/// near it. The diary reaches a day beyond the first and the last. Each is judged beside those before it, as when it is booked.
pub fn nearest(
    mut diary: Diary,
    wanted: &AppointmentRequest,
    times: &[DateTime<Utc>],
    by: Booker,
    now: DateTime<Utc>,
) -> Option<Vec<DateTime<Utc>>> {
    let length = wanted.duration_minutes.map(TimeDelta::minutes);
    let mut plan = Vec::with_capacity(times.len());
    for (nth, at) in times.iter().enumerate() {
        let decided = |starts_at| {
            let visit = AppointmentRequest { starts_at, ..wanted.clone() };
            decided_by(&diary, &visit, by, Choice::Given, now).ok()
        };
        let nearby = || {
            let (within, place) = (reach(times, nth), wanted.location_id);
            let free = fitting::free(&diary, within, place, length, by.is_patient(), now);
            free.map(|open| open.span.from).min_by_key(|free| (*free - *at).abs())
        };
        let one = decided(*at).or_else(|| decided(nearby()?))?;
        diary.take(&one.claims);
        plan.push(one.span.from);
    }
    let whole = *plan.last()? - *plan.first()?;
    (whole <= TimeDelta::days(LONGEST_DAYS)).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_visits_of_a_series_reach_for_the_same_time(gaps in proptest::collection::vec(30..20_000i64, 1..20)) {
            let mut at = DateTime::from_timestamp(0, 0).unwrap();
            let times: Vec<_> = gaps.iter().map(|gap| { at += TimeDelta::minutes(*gap); at }).collect();
            for nth in 1..times.len() {
                let (before, here) = (reach(&times, nth - 1), reach(&times, nth));
                prop_assert!(before.to <= here.from, "{before:?} {here:?}");
                prop_assert!(here.from < times[nth] && times[nth] < here.to);
            }
        }
    }
}
