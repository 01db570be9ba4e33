//! Whose turn it is: one rule, written down once. Nothing here reads a database or a clock.
//!
//! 1. Emergencies go first, in the order of coming.
//! 2. Everybody else goes by a due time: a booked patient who came in time by the appointment's, a late one by that of checking in, one
//!    who walked in by that of coming. Who is elderly or pregnant goes as if due a quarter of an hour earlier: a head start, so that
//!    nobody waits for more than those who are nearly his own age in the queue.
//! 3. Once a booked patient's time has come, no two others go in a row before him: however many walk in, who booked and came in time
//!    waits for one of them at most beside each booked one before him.
//! 4. Who was called and did not come goes after the next three who are called.

use std::iter::Peekable;

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{GoesBy, Priority};

/// By so much who is elderly or pregnant goes earlier.
pub const HEAD_START: TimeDelta = TimeDelta::minutes(15);

/// After so many others who was skipped comes again.
pub const SKIPPED_FOR: i32 = 3;

/// Somebody's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The token: of two who are due at once, who came first goes first.
    pub number: i32,
    pub goes_by: GoesBy,
    pub due_at: DateTime<Utc>,
    /// So many others are to be called before: of one who was skipped.
    pub behind: usize,
}

/// What somebody's turn goes by.
pub fn due(
    priority: Priority,
    walk_in: bool,
    starts_at: DateTime<Utc>,
    came_at: DateTime<Utc>,
) -> (GoesBy, DateTime<Utc>) {
    let (goes_by, at) = match priority {
        Priority::Emergency => (GoesBy::Emergency, came_at),
        _ if walk_in => (GoesBy::Arrival, came_at),
        _ if came_at <= starts_at => (GoesBy::AppointmentTime, starts_at),
        _ => (GoesBy::CheckInTime, came_at),
    };
    (goes_by, if priority.has_head_start() { at - HEAD_START } else { at })
}

impl Turn {
    fn key(&self) -> (bool, DateTime<Utc>, i32) {
        (self.goes_by != GoesBy::Emergency, self.due_at, self.number)
    }
}

/// Puts those who wait in the order of their turns. `last` is by what the turn of the one went who was called last.
pub fn in_turn(mut waiting: Vec<Turn>, last: Option<GoesBy>, now: DateTime<Utc>) -> Vec<Turn> {
    waiting.sort_by_key(Turn::key);
    let (held, free): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|turn| turn.behind > 0);
    let (emergencies, rest): (Vec<_>, Vec<_>) =
        free.into_iter().partition(|turn| turn.goes_by == GoesBy::Emergency);
    let (in_time, others): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|turn| turn.goes_by == GoesBy::AppointmentTime);
    let mut line = emergencies;
    line.extend(merged(in_time.into_iter().peekable(), others.into_iter().peekable(), last, now));
    behind_others(line, held)
}

fn merged(
    mut in_time: Peekable<impl Iterator<Item = Turn>>,
    mut others: Peekable<impl Iterator<Item = Turn>>,
    last: Option<GoesBy>,
    now: DateTime<Utc>,
) -> Vec<Turn> {
    let mut line = Vec::new();
    let mut other_went = matches!(last, Some(GoesBy::Arrival | GoesBy::CheckInTime));
    loop {
        let booked_goes = match (in_time.peek(), others.peek()) {
            (Some(booked), Some(other)) => {
                booked.key() < other.key() || other_went && booked.due_at <= now
            }
            (booked, _) => booked.is_some(),
        };
        let next = if booked_goes { in_time.next() } else { others.next() };
        other_went = !booked_goes;
        match next {
            Some(next) => line.push(next),
            None => return line,
        }
    }
}

/// Puts each who was skipped after as many others as are still to go before, and not before his own turn.
fn behind_others(line: Vec<Turn>, held: Vec<Turn>) -> Vec<Turn> {
    let place = |turn: &Turn| {
        let before = line.iter().filter(|other| other.key() < turn.key()).count();
        before.max(turn.behind).min(line.len())
    };
    let mut held: Vec<(usize, Turn)> = held.into_iter().map(|turn| (place(&turn), turn)).collect();
    held.sort_by_key(|(place, turn)| (*place, turn.behind, turn.key()));
    let mut held = held.into_iter().peekable();
    let mut whole = Vec::with_capacity(line.len() + held.len());
    for (place, turn) in line.into_iter().enumerate() {
        while let Some((_, skipped)) = held.next_if(|(at, _)| *at == place) {
            whole.push(skipped);
        }
        whole.push(turn);
    }
    whole.extend(held.map(|(_, skipped)| skipped));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000_020 + minute * 60, 0).unwrap()
    }

    fn booked(number: i32, starts: i64, came: i64) -> Turn {
        of(number, Priority::None, false, starts, came)
    }

    fn walked(number: i32, came: i64) -> Turn {
        of(number, Priority::None, true, came, came)
    }

    fn of(number: i32, priority: Priority, walk_in: bool, starts: i64, came: i64) -> Turn {
        let (goes_by, due_at) = due(priority, walk_in, at(starts), at(came));
        Turn { number, goes_by, due_at, behind: 0 }
    }

    fn numbers(line: &[Turn]) -> Vec<i32> {
        line.iter().map(|turn| turn.number).collect()
    }

    #[test]
    fn the_rule_by_example() {
        let emergency = |number, came| of(number, Priority::Emergency, true, came, came);
        let elderly = |number, starts, came| of(number, Priority::Elderly, false, starts, came);
        let skipped = |turn, behind| Turn { behind, ..turn };
        for (name, waiting, last, expected) in [
            (
                "by the appointment, not by coming",
                vec![booked(1, 30, 0), booked(2, 15, 5)],
                None,
                vec![2, 1],
            ),
            ("late goes by coming", vec![booked(2, 0, 20), booked(1, 15, 5)], None, vec![1, 2]),
            (
                "an emergency first",
                vec![booked(1, 0, 0), emergency(2, 50), emergency(3, 40)],
                None,
                vec![3, 2, 1],
            ),
            (
                "a head start of a quarter",
                vec![booked(1, 30, 0), elderly(2, 40, 0)],
                None,
                vec![2, 1],
            ),
            ("and no more", vec![booked(1, 30, 0), elderly(2, 46, 0)], None, vec![1, 2]),
            (
                "no two who walked in before who is due",
                vec![walked(1, 1), walked(2, 2), walked(3, 3), booked(4, 50, 10)],
                None,
                vec![1, 4, 2, 3],
            ),
            (
                "not even one, after one",
                vec![walked(1, 1), walked(2, 2), booked(4, 50, 10)],
                Some(GoesBy::Arrival),
                vec![4, 1, 2],
            ),
            (
                "before his time has come they may",
                vec![walked(1, 1), walked(2, 2), booked(4, 70, 10)],
                None,
                vec![1, 2, 4],
            ),
            (
                "skipped: after three",
                vec![
                    skipped(booked(1, 0, 0), 3),
                    booked(2, 1, 0),
                    booked(3, 2, 0),
                    booked(4, 3, 0),
                    booked(5, 4, 0),
                ],
                None,
                vec![2, 3, 4, 1, 5],
            ),
            (
                "or after all there are",
                vec![skipped(booked(1, 0, 0), 3), booked(2, 1, 0)],
                None,
                vec![2, 1],
            ),
            (
                "called out of turn and skipped: not before his own turn",
                vec![booked(1, 0, 0), booked(2, 1, 0), skipped(booked(3, 2, 0), 1)],
                None,
                vec![1, 2, 3],
            ),
        ] {
            assert_eq!(numbers(&in_turn(waiting, last, at(60))), expected, "{name}");
        }
    }

    fn turns() -> impl Strategy<Value = Vec<Turn>> {
        let priority = prop_oneof![
            6 => Just(Priority::None),
            2 => Just(Priority::Elderly),
            1 => Just(Priority::Pregnant),
            1 => Just(Priority::Emergency),
        ];
        let turn = (
            priority,
            any::<bool>(),
            0..120i64,
            0..120i64,
            prop_oneof![4 => Just(0usize), 1 => 1..4usize],
        );
        proptest::collection::vec(turn, 0..30).prop_map(|turns| {
            let numbered = turns.into_iter().zip(1..);
            let turn = |((priority, walk_in, starts, came, behind), number)| Turn {
                behind,
                ..of(number, priority, walk_in, starts, came)
            };
            numbered.map(turn).collect()
        })
    }

    proptest! {
        #[test]
        fn nobody_is_lost_doubled_or_starved(waiting in turns(), now in 0..150i64, other_went in any::<bool>()) {
            let (now, last) = (at(now), other_went.then_some(GoesBy::Arrival));

            let line = in_turn(waiting.clone(), last, now);

            let mut all = numbers(&line);
            all.sort();
            prop_assert_eq!(all, numbers(&waiting), "each is there once");
            let free: Vec<Turn> = line.iter().copied().filter(|turn| turn.behind == 0).collect();
            let is = |turn: &Turn, goes_by| turn.goes_by == goes_by;
            let emergencies = free.iter().take_while(|turn| is(turn, GoesBy::Emergency)).count();
            prop_assert!(free[emergencies..].iter().all(|turn| !is(turn, GoesBy::Emergency)), "emergencies first");
            let ordinary = &free[emergencies..];
            for (place, turn) in ordinary.iter().enumerate() {
                let before = &ordinary[..place];
                let in_time = |turn: &&Turn| is(turn, GoesBy::AppointmentTime);
                let booked = before.iter().filter(in_time).count();
                let others = before.len() - booked;
                if in_time(&turn) {
                    prop_assert!(before.iter().filter(in_time).all(|other| other.key() < turn.key()));
                    if turn.due_at <= now {
                        let most = booked + usize::from(!other_went);
                        prop_assert!(others <= most, "{turn:?} waits for {others} others and {booked} booked");
                    }
                } else {
                    prop_assert!(before.iter().filter(|other| !in_time(other)).all(|other| other.key() < turn.key()));
                    let overtook = before.iter().filter(in_time).filter(|other| other.key() > turn.key()).count();
                    prop_assert!(overtook <= others + usize::from(other_went), "{turn:?} is overtaken by {overtook}");
                }
            }
            for (place, turn) in line.iter().enumerate().filter(|(_, turn)| turn.behind > 0) {
                let before = line[..place].iter().filter(|other| other.behind == 0).count();
                prop_assert!(before >= turn.behind.min(free.len()), "{turn:?} is back too soon");
            }
        }

        #[test]
        fn whoever_is_due_earlier_by_the_same_measure_goes_earlier(waiting in turns(), now in 0..150i64) {
            let line = in_turn(waiting, None, at(now));

            let free: Vec<&Turn> = line.iter().filter(|turn| turn.behind == 0).collect();
            for (place, turn) in free.iter().enumerate() {
                let same = free[place + 1..].iter().filter(|later| later.goes_by == turn.goes_by);
                prop_assert!(same.clone().all(|later| turn.key() < later.key()));
            }
        }
    }
}
