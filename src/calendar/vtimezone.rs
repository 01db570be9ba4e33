//! A time zone for calendars that have no IANA database: when its clocks change, over the span of a feed. Where the changes
//! follow a yearly rule it is written as one, for that is all that some readers know; else each change is written out.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};

use super::content_line::Lines;
use crate::doctors::hours::Span;
use crate::time;

/// A moment at which the clocks of a zone change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// What the clocks showed as they were changed.
    civil: NaiveDateTime,
    before: TimeDelta,
    after: TimeDelta,
    name: Option<String>,
}

impl Change {
    fn is_forward(&self) -> bool {
        self.after > self.before
    }

    /// The same clocks at the same weekday of the month.
    fn is_like(&self, other: &Change) -> bool {
        (self.before, self.after, self.civil.time(), self.civil.month(), self.civil.weekday())
            == (
                other.before,
                other.after,
                other.civil.time(),
                other.civil.month(),
                other.civil.weekday(),
            )
    }
}

fn offset(zone: Tz, at: DateTime<Utc>) -> TimeDelta {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    TimeDelta::seconds(i64::from(offset.local_minus_utc()))
}

fn name(zone: Tz, at: DateTime<Utc>) -> Option<String> {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc());
    offset.abbreviation().map(str::to_owned)
}

/// The changes in a span, in order. No zone changes its clocks twice within a day.
fn changes(zone: Tz, within: Span) -> Vec<Change> {
    let mut all = Vec::new();
    let mut at = within.from;
    while at < within.to {
        let next = at + TimeDelta::days(1);
        let (before, after) = (offset(zone, at), offset(zone, next));
        if before != after {
            let (mut low, mut high) = (at.timestamp(), next.timestamp());
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                let moment = DateTime::from_timestamp(middle, 0).expect("between two instants");
                if offset(zone, moment) == before { low = middle } else { high = middle }
            }
            let moment = DateTime::from_timestamp(high, 0).expect("between two instants");
            let civil = moment.naive_utc() + before;
            all.push(Change { civil, before, after, name: name(zone, moment) });
        }
        at = next;
    }
    all
}

/// The yearly rule of one change in each of the years, if they follow one: `BYMONTH=10;BYDAY=-1SU`.
fn yearly(all: &[&Change]) -> Option<String> {
    let first = all.first()?;
    let follow = all
        .windows(2)
        .all(|pair| pair[0].is_like(pair[1]) && pair[0].civil.year() + 1 == pair[1].civil.year());
    if !follow || all.len() < 3 {
        return None; // two alike may be a coincidence
    }
    let nth = |change: &Change| change.civil.day0() / 7 + 1;
    let is_last =
        |change: &Change| (change.civil + TimeDelta::days(7)).month() != change.civil.month();
    let place = if all.iter().all(|change| is_last(change)) {
        -1
    } else if all.iter().all(|change| nth(change) == nth(first)) {
        i64::from(nth(first))
    } else {
        return None;
    };
    let day = &first.civil.weekday().to_string().to_uppercase()[..2];
    Some(format!("FREQ=YEARLY;BYMONTH={};BYDAY={place}{day}", first.civil.month()))
}

fn write_change(lines: &mut Lines, change: &Change, rule: Option<&str>) {
    let kind = if change.is_forward() { "DAYLIGHT" } else { "STANDARD" };
    lines.begin(kind);
    lines.plain("DTSTART", &civil(change.civil));
    if let Some(rule) = rule {
        lines.plain("RRULE", rule);
    }
    lines.plain("TZOFFSETFROM", &shown(change.before));
    lines.plain("TZOFFSETTO", &shown(change.after));
    if let Some(name) = &change.name {
        lines.text("TZNAME", name);
    }
    lines.end(kind);
}

/// `20261025T020000`
pub fn civil(at: NaiveDateTime) -> String {
    at.format("%Y%m%dT%H%M%S").to_string()
}

/// `+0530`, with seconds only where there are some.
fn shown(offset: TimeDelta) -> String {
    let sign = if offset < TimeDelta::zero() { '-' } else { '+' };
    let seconds = offset.num_seconds().abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
    }
}

/// Writes the `VTIMEZONE` of a zone, right for whatever lies within the span.
pub fn write(lines: &mut Lines, zone: Tz, within: Span) {
    // Whole years, and the one before: a rule shows itself, and each moment of the span has a change before it.
    let new_year = |year: i32| {
        let day = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
        time::day_start(Tz::UTC, day)
    };
    let from = new_year(within.from.year() - 1);
    let all = changes(zone, Span::new(from, new_year(within.to.year() + 1)));
    let (forward, back): (Vec<&Change>, Vec<&Change>) =
        all.iter().partition(|change| change.is_forward());

    lines.begin("VTIMEZONE");
    lines.plain("TZID", zone.name());
    lines.plain("X-LIC-LOCATION", zone.name());
    match (yearly(&forward), yearly(&back)) {
        (Some(spring), Some(autumn)) => {
            write_change(lines, forward[0], Some(&spring));
            write_change(lines, back[0], Some(&autumn));
        }
        _ => {
            let stands = offset(zone, from);
            let civil = from.naive_utc() + stands;
            let name = name(zone, from);
            write_change(lines, &Change { civil, before: stands, after: stands, name }, None);
            all.iter().for_each(|change| write_change(lines, change, None));
        }
    }
    lines.end("VTIMEZONE");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: &str) -> String {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let mut lines = Lines::default();
        let span = Span::new(at("2026-08-23T00:00:00Z"), at("2027-12-26T00:00:00Z"));
        write(&mut lines, time::zone(zone).unwrap(), span);
        lines.finish().replace("\r\n", " ")
    }

    #[test]
    fn a_zone_with_a_rule_is_written_as_one() {
        assert_eq!(
            written("Europe/Berlin"),
            "BEGIN:VTIMEZONE TZID:Europe/Berlin X-LIC-LOCATION:Europe/Berlin \
             BEGIN:DAYLIGHT DTSTART:20250330T020000 RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU \
             TZOFFSETFROM:+0100 TZOFFSETTO:+0200 TZNAME:CEST END:DAYLIGHT \
             BEGIN:STANDARD DTSTART:20251026T030000 RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU \
             TZOFFSETFROM:+0200 TZOFFSETTO:+0100 TZNAME:CET END:STANDARD END:VTIMEZONE "
        );
        let new_york = written("America/New_York");
        assert!(new_york.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU"), "{new_york}");
        assert!(new_york.contains("RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"), "{new_york}");
    }

    #[test]
    fn a_zone_without_changes_has_one_offset() {
        assert_eq!(
            written("Asia/Kolkata"),
            "BEGIN:VTIMEZONE TZID:Asia/Kolkata X-LIC-LOCATION:Asia/Kolkata \
             BEGIN:STANDARD DTSTART:20250101T053000 TZOFFSETFROM:+0530 TZOFFSETTO:+0530 TZNAME:IST END:STANDARD \
             END:VTIMEZONE "
        );
    }

    #[test]
    fn changes_that_follow_the_moon_are_written_out() {
        let casablanca = written("Africa/Casablanca");
        assert!(!casablanca.contains("RRULE"), "{casablanca}");
        assert!(casablanca.matches("DTSTART").count() >= 6, "{casablanca}");
    }

    /// The offset at an instant, as a reader works it out who knows nothing but what is written.
    fn as_read(written: &str, at: DateTime<Utc>) -> i64 {
        let seconds = |text: &str| {
            let digits: Vec<i64> = text.as_bytes()[1..]
                .chunks(2)
                .map(|pair| std::str::from_utf8(pair).unwrap().parse().unwrap())
                .collect();
            let all = digits.iter().zip([3600, 60, 1]).map(|(part, unit)| part * unit).sum::<i64>();
            if text.starts_with('-') { -all } else { all }
        };
        let mut latest = (DateTime::<Utc>::MIN_UTC, 0);
        for part in written.split("BEGIN:").filter(|part| part.contains("TZOFFSETTO")) {
            let value = |name: &str| {
                part.split(' ').find_map(|line| line.strip_prefix(name)).map(str::to_owned)
            };
            let start = value("DTSTART:").unwrap();
            let start = NaiveDateTime::parse_from_str(&start, "%Y%m%dT%H%M%S").unwrap();
            let from = seconds(&value("TZOFFSETFROM:").unwrap());
            let to = seconds(&value("TZOFFSETTO:").unwrap());
            let mut onsets = vec![start];
            if let Some(rule) = value("RRULE:FREQ=YEARLY;BYMONTH=") {
                let (month, day) = rule.split_once(";BYDAY=").unwrap();
                let (nth, weekday) = day.split_at(day.len() - 2);
                let weekday = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
                    .iter()
                    .position(|name| *name == weekday)
                    .unwrap();
                onsets = (start.year()..start.year() + 5)
                    .map(|year| {
                        let first =
                            NaiveDate::from_ymd_opt(year, month.parse().unwrap(), 1).unwrap();
                        let mut days: Vec<NaiveDate> = first
                            .iter_days()
                            .take_while(|day| day.month() == first.month())
                            .filter(|day| day.weekday().num_days_from_monday() as usize == weekday)
                            .collect();
                        let day = match nth {
                            "-1" => days.pop().unwrap(),
                            nth => days[nth.parse::<usize>().unwrap() - 1],
                        };
                        day.and_time(start.time())
                    })
                    .collect();
            }
            for onset in onsets.into_iter().map(|civil| civil.and_utc() - TimeDelta::seconds(from))
            {
                if latest.0 < onset && onset <= at {
                    latest = (onset, to);
                }
            }
        }
        latest.1
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]
        #[test]
        fn a_reader_without_a_database_has_the_right_hours_in_every_zone(
            zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            year in 2000..2036i64, minute in 0..490 * 24 * 60i64,
        ) {
            let from = DateTime::from_timestamp((year - 1970) * 31_556_952, 0).unwrap();
            let span = Span::new(from, from + TimeDelta::days(490));
            let mut lines = Lines::default();
            write(&mut lines, zone, span);
            let written = lines.finish().replace("\r\n", " ");
            let at = from + TimeDelta::minutes(minute);

            proptest::prop_assert_eq!(as_read(&written, at), offset(zone, at).num_seconds(), "{} {}\n{}", zone, at, written);
        }
    }
}
