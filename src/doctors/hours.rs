//! When a doctor sits where: weekly hours and extra days in civil time, less breaks, less holidays, less time off. Computed,
//! never stored; offering a slot and checking a booking ask the same functions, so that none is offered that cannot be booked.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::minute::Minute;
use crate::ids::LocationId;
use crate::time;

/// A pause within hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, poem_openapi::Object)]
pub struct Break {
    pub starts_at: Minute,
    pub ends_at: Minute,
}

/// One line of a doctor's weekly hours, in the civil time of its location.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hours {
    pub location_id: LocationId,
    #[serde(rename = "time_zone", deserialize_with = "by_name")]
    pub zone: Tz,
    /// ISO: Monday is 1.
    pub weekday: u32,
    pub starts_at: Minute,
    pub ends_at: Minute,
    pub breaks: Vec<Break>,
    pub valid_from: Option<NaiveDate>,
    /// Exclusive.
    pub valid_to: Option<NaiveDate>,
}

/// A day on which a doctor sits although the weekly hours do not say so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExtraDay {
    pub location_id: LocationId,
    #[serde(rename = "time_zone", deserialize_with = "by_name")]
    pub zone: Tz,
    pub day: NaiveDate,
    pub starts_at: Minute,
    pub ends_at: Minute,
    pub breaks: Vec<Break>,
}

/// Civil days on which nobody sits: at one location, or at every one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ClosedDays {
    pub location_id: Option<LocationId>,
    pub first_day: NaiveDate,
    /// Inclusive.
    pub last_day: NaiveDate,
}

/// A span of time, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Span {
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { from, to }
    }

    pub fn overlaps(&self, other: &Span) -> bool {
        self.from < other.to && other.from < self.to
    }

    pub fn contains(&self, other: &Span) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

/// A stretch in which a doctor may be booked at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub location_id: LocationId,
    /// The location's.
    pub zone: Tz,
    pub span: Span,
}

/// All that says when a doctor sits.
#[derive(Clone, Debug, Default)]
pub struct Sittings {
    pub hours: Vec<Hours>,
    pub extra: Vec<ExtraDay>,
    pub closed: Vec<ClosedDays>,
    pub time_off: Vec<Span>,
}

/// What of [`Sittings`] is left out of account, to tell why a doctor does not sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum But {
    Nothing,
    TimeOff,
    TimeOffAndHolidays,
}

impl Hours {
    fn applies_on(&self, date: NaiveDate) -> bool {
        date.weekday().number_from_monday() == self.weekday
            && self.valid_from.is_none_or(|from| from <= date)
            && self.valid_to.is_none_or(|to| date < to)
    }
}

/// The stretches of one line on a civil day, breaks cut out.
fn stretches(
    location_id: LocationId,
    zone: Tz,
    date: NaiveDate,
    (starts_at, ends_at): (Minute, Minute),
    breaks: &[Break],
) -> Vec<Open> {
    let mut spans = vec![Span::new(starts_at.begins(zone, date), ends_at.ends(zone, date))];
    for pause in breaks {
        let pause = Span::new(pause.starts_at.begins(zone, date), pause.ends_at.ends(zone, date));
        spans = cut(spans, pause);
    }
    spans.into_iter().map(|span| Open { location_id, zone, span }).collect()
}

/// Takes a span out of others.
fn cut(spans: Vec<Span>, out: Span) -> Vec<Span> {
    spans
        .into_iter()
        .flat_map(|span| {
            if !span.overlaps(&out) {
                return vec![span];
            }
            [Span::new(span.from, out.from.max(span.from)), Span::new(out.to.min(span.to), span.to)]
                .into_iter()
                .filter(|rest| rest.from < rest.to)
                .collect()
        })
        .collect()
}

impl Sittings {
    /// Every stretch in which a doctor may be booked and that touches `within`, in order.
    pub fn open(&self, within: Span, but: But) -> Vec<Open> {
        let mut open = Vec::new();
        let mut sits = |location, zone, date, hours, breaks: &[Break]| {
            if but == But::TimeOffAndHolidays || !self.is_closed(location, date) {
                open.extend(stretches(location, zone, date, hours, breaks));
            }
        };
        for line in &self.hours {
            let mut date = time::date_in(line.zone, within.from);
            let last = time::date_in(line.zone, within.to);
            while date <= last {
                if line.applies_on(date) {
                    let hours = (line.starts_at, line.ends_at);
                    sits(line.location_id, line.zone, date, hours, &line.breaks);
                }
                let Some(next) = date.checked_add_days(Days::new(1)) else { break };
                date = next;
            }
        }
        for extra in &self.extra {
            let hours = (extra.starts_at, extra.ends_at);
            sits(extra.location_id, extra.zone, extra.day, hours, &extra.breaks);
        }
        if but == But::Nothing {
            open = open.into_iter().flat_map(|open| self.present(open)).collect();
        }
        open.retain(|open| open.span.overlaps(&within));
        open.sort_by_key(|open| open.span);
        open
    }

    fn is_closed(&self, location: LocationId, date: NaiveDate) -> bool {
        self.closed.iter().any(|closed| {
            closed.location_id.is_none_or(|there| there == location)
                && closed.first_day <= date
                && date <= closed.last_day
        })
    }

    /// What time off leaves of a stretch.
    fn present(&self, open: Open) -> impl Iterator<Item = Open> + use<> {
        let left = self.time_off.iter().fold(vec![open.span], |spans, off| cut(spans, *off));
        left.into_iter().map(move |span| Open { span, ..open })
    }
}

/// The visits of a `length` that are offered within a stretch of hours: one every `slot` from the start of the day's line, as
/// long as it fits as a whole.
pub fn starts_within(
    open: &Open,
    slot: TimeDelta,
    length: TimeDelta,
) -> impl Iterator<Item = Span> + use<> {
    let span = open.span;
    std::iter::successors(Some(span.from), move |start| Some(*start + slot))
        .map(move |start| Span::new(start, start + length))
        .take_while(move |visit| visit.to <= span.to)
}

/// A zone that we do not know has no hours at all: better none than at another time.
fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(deserializer)?;
    time::zone(&name).ok_or_else(|| D::Error::custom(format!("there is no time zone {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, weekday: u32, from: (u32, u32), to: (u32, u32)) -> Hours {
        let at =
            |(hour, minute): (u32, u32)| Minute::parse(&format!("{hour:02}:{minute:02}")).unwrap();
        Hours {
            location_id: LocationId::new(),
            zone: time::zone(zone).unwrap(),
            weekday,
            starts_at: at(from),
            ends_at: at(to),
            breaks: vec![Break { starts_at: at((10, 0)), ends_at: at((10, 30)) }],
            valid_from: None,
            valid_to: None,
        }
    }

    fn weekly(line: Hours) -> Sittings {
        Sittings { hours: vec![line], ..Sittings::default() }
    }

    fn day(date: &str) -> Span {
        let from = format!("{date}T00:00:00Z").parse().unwrap();
        Span::new(from, from + TimeDelta::days(1))
    }

    #[test]
    fn breaks_and_time_off_are_cut_out() {
        let hours = [hours("Asia/Kolkata", 1, (9, 0), (12, 0))];
        let off = Span::new(
            "2026-11-23T06:00:00Z".parse().unwrap(), // 11:30 in Kolkata
            "2026-11-24T00:00:00Z".parse().unwrap(),
        );

        let open = Sittings { hours: hours.into(), time_off: vec![off], ..Sittings::default() }
            .open(day("2026-11-23"), But::Nothing);

        let shown: Vec<_> =
            open.iter().map(|o| (time::show(o.span.from), time::show(o.span.to))).collect();
        assert_eq!(
            shown,
            [
                ("2026-11-23T03:30:00Z".into(), "2026-11-23T04:30:00Z".into()),
                ("2026-11-23T05:00:00Z".into(), "2026-11-23T06:00:00Z".into()),
            ]
        );
    }

    #[test]
    fn a_night_that_loses_an_hour_has_slots_for_the_rest() {
        let mut night = hours("Europe/Berlin", 7, (1, 0), (4, 0)); // 2026-03-29: 02:00 becomes 03:00
        night.breaks.clear();

        let open = weekly(night).open(day("2026-03-29"), But::Nothing);
        let slots: Vec<_> =
            starts_within(&open[0], TimeDelta::minutes(30), TimeDelta::minutes(30)).collect();

        assert_eq!(slots.len(), 4, "two hours are left of three");
    }

    #[test]
    fn hours_until_the_end_of_the_day_have_slots_until_midnight() {
        let mut evening = hours("Asia/Kolkata", 1, (22, 0), (24, 0));
        evening.breaks = vec![Break {
            starts_at: Minute::parse("22:30").unwrap(),
            ends_at: Minute::parse("23:30").unwrap(),
        }];

        let open = weekly(evening).open(day("2026-11-23"), But::Nothing);
        let slots: Vec<_> = open
            .iter()
            .flat_map(|open| starts_within(open, TimeDelta::minutes(15), TimeDelta::minutes(15)))
            .map(|slot| time::show(slot.to))
            .collect();

        // Midnight in Kolkata is 18:30 of the day before in UTC.
        let ends = ["16:45", "17:00", "18:15", "18:30"];
        assert_eq!(slots, ends.map(|end| format!("2026-11-23T{end}:00Z")));
    }

    #[test]
    fn hours_hold_between_their_dates_only() {
        let mut line = hours("UTC", 1, (9, 0), (12, 0));
        line.valid_to = NaiveDate::from_ymd_opt(2026, 11, 23);

        assert!(weekly(line.clone()).open(day("2026-11-23"), But::Nothing).is_empty());
        assert_eq!(weekly(line).open(day("2026-11-16"), But::Nothing).len(), 2);
    }

    #[test]
    fn a_holiday_closes_its_own_location_and_an_extra_day_opens_one() {
        let line = hours("Asia/Kolkata", 1, (9, 0), (12, 0));
        let elsewhere = LocationId::new();
        let monday = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let closed = |location_id| ClosedDays { location_id, first_day: monday, last_day: monday };
        let extra = ExtraDay {
            location_id: elsewhere,
            zone: line.zone,
            day: monday,
            starts_at: Minute::parse("15:00").unwrap(),
            ends_at: Minute::parse("18:00").unwrap(),
            breaks: vec![],
        };
        let sits_at = |closed, but| {
            let sittings = Sittings {
                hours: vec![line.clone()],
                extra: vec![extra.clone()],
                closed,
                time_off: vec![],
            };
            let mut at: Vec<_> =
                sittings.open(day("2026-11-23"), but).iter().map(|o| o.location_id).collect();
            at.dedup();
            at
        };
        let here = line.location_id;

        assert_eq!(sits_at(vec![], But::Nothing), [here, elsewhere]);
        assert_eq!(sits_at(vec![closed(Some(here))], But::Nothing), [elsewhere]);
        assert_eq!(sits_at(vec![closed(Some(elsewhere))], But::Nothing), [here]);
        assert_eq!(sits_at(vec![closed(None)], But::Nothing), []);
        assert_eq!(sits_at(vec![closed(None)], But::TimeOffAndHolidays), [here, elsewhere]);
    }
}
