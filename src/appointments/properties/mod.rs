//! What must hold of slots and bookings whatever a clinic's hours, zone, rules and visits are. The oracle is written minute by
//! minute, after the words of the contract, and shares no code with what it judges but the reading of a zone.

mod clinic;
mod deeds;
mod world;

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use proptest::prelude::*;
use uuid::Uuid;

use self::clinic::Clinic;
use self::world::{World, days_of, deed, on_the_wall, world};
use super::diary::Rules;
use super::fitting;
use super::seats::Taken;
use crate::doctors::hours::Span;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn slots_and_bookings_agree_and_nothing_is_taken_twice(
        world in world(),
        deeds in proptest::collection::vec(deed(), 0..24),
    ) {
        let mut clinic = Clinic::new(world);
        clinic.check_hours()?;
        for deed in &deeds {
            clinic.act(deed)?;
        }
        for patient in clinic.patients {
            clinic.check_slots(patient, false)?;
            clinic.check_slots(patient, true)?;
        }
    }
}

/// One after the other, all of them: a random one in each run would take its time to meet the odd one.
#[test]
fn in_every_zone_hours_begin_and_end_as_the_clock_on_the_wall_says_also_when_it_changes() {
    for zone in chrono_tz::TZ_VARIANTS {
        for day in days_of(zone) {
            for date in [day, day + TimeDelta::days(1)] {
                hours_are_offered(zone, date, (0, 1440));
                if has_a_change(zone, date) {
                    for minutes in [30, 60, 90, 120, 150, 180, 210, 1410] {
                        hours_are_offered(zone, date, (0, minutes));
                        hours_are_offered(zone, date, (minutes, 1440));
                    }
                }
            }
        }
    }
}

fn has_a_change(zone: Tz, date: NaiveDate) -> bool {
    let (from, to) = crate::time::day_bounds(zone, date);
    to - from != TimeDelta::days(1)
}

/// In slots of five minutes, one after the other: from the first time that the clock shows their beginning to the last time that it
/// shows their end, or goes past it. (A day ends once, where the next begins.)
fn hours_are_offered(zone: Tz, date: NaiveDate, (begin, end): (u32, u32)) {
    let world = World {
        zone,
        first: date,
        weekly: vec![(date.weekday().number_from_monday(), (begin, end, None))],
        extra: vec![],
        closed: vec![],
        away: vec![],
        slot: 5,
        capacity: 1,
        max_per_day: None,
        rules: Rules::default(),
        now: 0,
    };
    let midnight = date.and_time(NaiveTime::MIN).and_utc();
    let within = Span::new(midnight - TimeDelta::hours(16), midnight + TimeDelta::hours(40));
    let clinic = Clinic::of(world, BTreeSet::new());
    let diary = clinic.diary(clinic.patients[0], false, None);

    let slots: Vec<Span> = fitting::free(&diary, within, None, None, false, within.from)
        .map(|open| open.span)
        .collect();

    let fives = (0..=56 * 12).map(|five| within.from + TimeDelta::minutes(5 * five));
    let clock: Vec<_> = fives.map(|at| (at, at.with_timezone(&zone).naive_local())).collect();
    let (from, until) = on_the_wall(&clock, date, (begin, end)).unwrap();
    let span = Span::new(from, until);
    let told = format!("{zone} {date} {begin} to {end}");
    if span.from >= span.to {
        assert!(slots.is_empty(), "{told}");
        return;
    }
    assert_eq!(slots.first().map(|slot| slot.from), Some(span.from), "{told}");
    assert_eq!(slots.last().map(|slot| slot.to), Some(span.to), "{told}");
    assert!(slots.windows(2).all(|two| two[0].to == two[1].from), "{told}");
}

/// A claim of nobody asked for does not count.
#[test]
fn only_those_who_are_asked_for_are_looked_at() {
    let stranger = Uuid::nil();
    let world = World {
        zone: Tz::UTC,
        first: NaiveDate::from_ymd_opt(2027, 3, 1).unwrap(),
        weekly: vec![(1, (540, 600, None))],
        extra: vec![],
        closed: vec![],
        away: vec![],
        slot: 30,
        capacity: 1,
        max_per_day: None,
        rules: Rules::default(),
        now: 0,
    };
    let clinic = Clinic::new(world);
    let mut diary = clinic.diary(clinic.patients[0], false, None);
    let nine = "2027-03-01T09:00:00Z".parse().unwrap();
    let taken = Taken { seat: 0, span: Span::new(nine, nine + TimeDelta::minutes(30)) };

    diary.taken = vec![(stranger, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 2);
    diary.taken = vec![(clinic.doctor.0, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 1);
    diary.taken = vec![(clinic.patients[0].0, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 1);
}
