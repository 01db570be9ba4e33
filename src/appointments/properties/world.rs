//! Clinics of all kinds, what is wanted of them, and when their doctors sit by the clock on the wall.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::appointments::diary::Rules;
use crate::doctors::hours::Span;
use crate::doctors::minute::Minute;

/// The days around each change of the clock of these two years, in every zone that has any; else some day.
pub const YEARS: [i32; 2] = [2025, 2027];

pub fn days_of(zone: Tz) -> Vec<NaiveDate> {
    let offset = |day: NaiveDate| {
        use chrono::Offset;
        zone.offset_from_utc_datetime(&day.and_time(NaiveTime::MIN)).fix()
    };
    let mut days = Vec::new();
    for year in YEARS {
        let mut day = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        while day.year() == year {
            let next = day.succ_opt().unwrap();
            if offset(day) != offset(next) {
                days.push(day);
            }
            day = next;
        }
        days.push(NaiveDate::from_ymd_opt(year, 7, 14).unwrap());
    }
    days
}

pub fn minute(minutes: u32) -> Minute {
    match minutes {
        1440.. => Minute::END_OF_DAY,
        _ => Minute::of(NaiveTime::from_num_seconds_from_midnight_opt(minutes * 60, 0).unwrap())
            .unwrap(),
    }
}

/// Hours of a day, in minutes: begin, end, a break or none.
pub type Day = (u32, u32, Option<(u32, u32)>);

pub fn day() -> impl Strategy<Value = Day> {
    (0..95u32, 1..64u32, proptest::option::of((0..30u32, 1..8u32))).prop_map(
        |(from, length, pause)| {
            let (from, to) = (from * 15, (from + length).min(96) * 15);
            let pause = pause.map(|(at, length)| (from + at * 15, from + (at + length) * 15));
            (from, to, pause.filter(|(_, until)| *until <= to))
        },
    )
}

/// A clinic with one doctor, one room, two patients, and what is wanted of them.
#[derive(Clone, Debug)]
pub struct World {
    pub zone: Tz,
    pub first: NaiveDate,
    pub weekly: Vec<(u32, Day)>,
    pub extra: Vec<(i64, Day)>,
    pub closed: Vec<i64>,
    pub away: Vec<(i64, i64)>,
    pub slot: i32,
    pub capacity: i16,
    pub max_per_day: Option<i32>,
    pub rules: Rules,
    pub now: i64,
}

pub fn world() -> impl Strategy<Value = World> {
    let zone = proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec());
    let rules = (
        prop_oneof![Just(0), 0..600],
        proptest::option::of(1..4i32),
        proptest::option::of((1..9i32).prop_map(|n| n * 5)),
        prop_oneof![Just((0, 0)), (0..5i32, 0..5i32)],
    )
        .prop_map(|(lead, horizon, slot, (before, after))| Rules {
            lead_minutes: lead,
            horizon_days: horizon,
            slot_minutes: slot,
            before_minutes: before * 5,
            after_minutes: after * 5,
        });
    let sits = (
        proptest::collection::vec((1..8u32, day()), 1..6),
        proptest::collection::vec((0..4i64, day()), 0..2),
        proptest::collection::vec(0..4i64, 0..2),
        proptest::collection::vec((0..5000i64, 1..600i64), 0..3),
    );
    let doctor = (
        prop_oneof![Just(15), Just(20), Just(30), Just(45)],
        1..3i16,
        proptest::option::of(1..6i32),
    );
    (zone, any::<Index>(), sits, doctor, rules, 0..2880i64).prop_map(
        |(zone, day, (weekly, extra, closed, away), (slot, capacity, max_per_day), rules, now)| {
            let first = *day.get(&days_of(zone)) - TimeDelta::days(1);
            World {
                zone,
                first,
                weekly,
                extra,
                closed,
                away,
                slot,
                capacity,
                max_per_day,
                rules,
                now,
            }
        },
    )
}

/// What is done, by whom, at which of the slots or at any minute.
#[derive(Clone, Debug)]
pub enum Deed {
    Book { patient: usize, at: Index, with_room: bool, by_patient: bool, overbook: bool },
    BookAnywhere { patient: usize, minute: i64, overbook: bool },
    Move { visit: Index, at: Index },
    MoveAnywhere { visit: Index, minute: i64 },
    Cancel { visit: Index },
}

pub fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..2usize, any::<Index>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(patient, at, with_room, by_patient, overbook)| Deed::Book { patient, at, with_room, by_patient, overbook }
        ),
        3 => (0..2usize, 0..5760i64, any::<bool>())
            .prop_map(|(patient, minute, overbook)| Deed::BookAnywhere { patient, minute, overbook }),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(visit, at)| Deed::Move { visit, at }),
        2 => (any::<Index>(), 0..5760i64).prop_map(|(visit, minute)| Deed::MoveAnywhere { visit, minute }),
        1 => any::<Index>().prop_map(|visit| Deed::Cancel { visit }),
    ]
}

impl World {
    pub fn within(&self) -> Span {
        let from = self.first.and_time(NaiveTime::MIN).and_utc();
        Span::new(from, from + TimeDelta::days(4))
    }

    pub fn day(&self, nth: i64) -> NaiveDate {
        self.first + TimeDelta::days(nth)
    }

    pub fn away(&self) -> Vec<Span> {
        let from = self.within().from;
        let spans = self.away.iter().map(|(at, length)| {
            let at = from + TimeDelta::minutes(*at);
            Span::new(at, at + TimeDelta::minutes(*length))
        });
        spans.collect()
    }
}

/// An interval of a day, by what a clock on the wall shows at each instant: it begins when the clock first shows its beginning or goes
/// past it, and ends when the clock does so with its end for the last time; put back to that very time, it shows it once more.
/// (A day ends once, where the next begins.)
pub fn on_the_wall(
    clock: &[(DateTime<Utc>, NaiveDateTime)],
    date: NaiveDate,
    (begin, end): (u32, u32),
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let shown = |minutes: u32| {
        let wanted = date.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minutes));
        let shows = clock
            .windows(2)
            .filter(move |two| two[1].1 == wanted || (two[0].1 < wanted && wanted <= two[1].1));
        shows.map(|two| two[1].0)
    };
    let until = if end == 1440 { shown(end).next() } else { shown(end).next_back() };
    Some((shown(begin).next()?, until?))
}

/// When the doctor sits, minute by minute.
pub fn minutes_open(world: &World) -> BTreeSet<DateTime<Utc>> {
    let from = world.within().from - TimeDelta::days(3);
    let clock: Vec<(DateTime<Utc>, NaiveDateTime)> = (0..10 * 1440)
        .map(|minute| from + TimeDelta::minutes(minute))
        .map(|at| (at, at.with_timezone(&world.zone).naive_local()))
        .collect();
    let span = |date, interval| on_the_wall(&clock, date, interval);
    let mut open = BTreeSet::new();
    for nth in -1..6 {
        let date = world.day(nth);
        let weekday = date.weekday().number_from_monday();
        let weekly = world.weekly.iter().filter(|(on, _)| *on == weekday).map(|(_, day)| day);
        let extra = world.extra.iter().filter(|(on, _)| *on == nth).map(|(_, day)| day);
        for (begin, end, pause) in weekly.chain(extra).filter(|_| !world.closed.contains(&nth)) {
            let Some((from, to)) = span(date, (*begin, *end)) else { continue };
            let pause = pause.and_then(|pause| span(date, pause));
            let minutes = clock.iter().map(|(at, _)| *at).filter(|at| from <= *at && *at < to);
            open.extend(minutes.filter(|at| !pause.is_some_and(|(a, b)| a <= *at && *at < b)));
        }
    }
    for away in world.away() {
        open.retain(|at| !(away.from <= *at && *at < away.to));
    }
    open
}
