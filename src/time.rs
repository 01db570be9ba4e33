//! Instants, civil days and zones. The clock is an argument, so that tests own it; day bounds are made here alone,
//! because some zones skip midnight and others have it twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use chrono::{Datelike, LocalResult, TimeZone, Timelike};
use chrono_tz::Tz;

/// Where the time comes from. A test's clock can be set apart from the system's.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_seconds: Arc<AtomicI64>,
}

impl Clock {
    pub fn system() -> Self {
        Self::default()
    }

    pub fn now(&self) -> DateTime<Utc> {
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
        let now = Utc::now();
        now + TimeDelta::seconds(self.offset_seconds.load(Ordering::Relaxed))
    }

    /// Moves this clock, and all its clones, forward (or back).
    pub fn advance(&self, by: TimeDelta) {
        self.offset_seconds.fetch_add(by.num_seconds(), Ordering::Relaxed);
    }
}

/// An instant as every answer shows it: UTC, whole seconds, `2026-11-21T04:30:00Z`.
pub fn show(instant: DateTime<Utc>) -> String {
    with_shown(instant, str::to_owned)
}

/// Shows an instant without allocating, digit by digit: chrono's formatter took a sixth of the time of a long list.
fn with_shown<T>(instant: DateTime<Utc>, use_it: impl FnOnce(&str) -> T) -> T {
    let Ok(year @ 0..=9999) = u32::try_from(instant.year()) else {
        return use_it(&instant.to_rfc3339_opts(SecondsFormat::Secs, true));
    };
    let mut text = *b"0000-00-00T00:00:00Z";
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (5, instant.month()),
        (8, instant.day()),
        (11, instant.hour()),
        (14, instant.minute()),
        (17, instant.second()),
    ];
    for (at, two_digits) in parts {
        text[at] += (two_digits / 10) as u8;
        text[at + 1] += (two_digits % 10) as u8;
    }
    use_it(str::from_utf8(&text).expect("digits are ASCII"))
}

/// For `#[serde(with = "crate::time::shown")]`.
pub mod shown {
    use chrono::{DateTime, Utc};
    use serde::Serializer;

    pub fn serialize<S: Serializer>(
        instant: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::with_shown(*instant, |text| serializer.serialize_str(text))
    }
}

/// For `#[serde(with = "crate::time::shown_if_any")]`.
pub mod shown_if_any {
    use chrono::{DateTime, Utc};
    use serde::Serializer;

    pub fn serialize<S: Serializer>(
        instant: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => super::shown::serialize(instant, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// A zone by its IANA name, such as `Asia/Kolkata`.
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The instant at which a civil time begins in a zone. In a gap it is the transition itself; in a fold the earlier instant.
pub fn earliest(zone: Tz, civil: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&civil) {
        LocalResult::Single(instant) => instant.to_utc(),
        LocalResult::Ambiguous(first, second) => first.min(second).to_utc(),
        LocalResult::None => transition_after(zone, civil),
    }
}

/// The instant at which a civil time ends in a zone. In a gap it is the transition itself; in a fold the later instant.
pub fn latest(zone: Tz, civil: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&civil) {
        LocalResult::Single(instant) => instant.to_utc(),
        LocalResult::Ambiguous(first, second) => first.max(second).to_utc(),
        LocalResult::None => transition_after(zone, civil),
    }
}

/// The instant at which the gap that swallows `civil` opens: the first whose civil time lies beyond it.
fn transition_after(zone: Tz, civil: NaiveDateTime) -> DateTime<Utc> {
    // No offset is beyond a day and a half, no zone jumps more than a day: the transition lies well inside.
    let (mut before, mut after) =
        (civil.and_utc() - TimeDelta::hours(48), civil.and_utc() + TimeDelta::hours(48));
    while after - before > TimeDelta::seconds(1) {
        let middle = before + (after - before) / 2;
        let middle = DateTime::from_timestamp(middle.timestamp(), 0).expect("between two instants");
        if middle <= before {
            break;
        }
        if zone.from_utc_datetime(&middle.naive_utc()).naive_local() < civil {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

/// A civil day as instants: from its first to the first of the next day.
pub fn day_bounds(zone: Tz, date: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    (day_start(zone, date), day_start(zone, date.checked_add_days(Days::new(1)).unwrap_or(date)))
}

/// The first instant of a civil day.
pub fn day_start(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    earliest(zone, date.and_time(NaiveTime::MIN))
}

/// The civil date at an instant in a zone.
pub fn date_in(zone: Tz, instant: DateTime<Utc>) -> NaiveDate {
    instant.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_zone() -> impl Strategy<Value = Tz> {
        proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
    }

    proptest! {
        #[test]
        fn days_follow_each_other_without_gap_in_every_zone(zone in any_zone(), day in 0..25_000i64) {
            let date = NaiveDate::from_ymd_opt(1980, 1, 1).unwrap() + TimeDelta::days(day);

            let (start, end) = day_bounds(zone, date);

            prop_assert!(start <= end, "{zone} {date}: {start} {end}");
            prop_assert!(end - start <= TimeDelta::hours(26));
            if start < end {
                prop_assert_eq!(date_in(zone, start), date);
                prop_assert!(date_in(zone, start - TimeDelta::seconds(1)) < date);
                prop_assert!(date_in(zone, end) > date);
            }
        }
    }

    proptest! {
        #[test]
        fn instants_are_shown_as_chrono_shows_them(seconds in -100_000_000_000..400_000_000_000i64) {
            let instant = DateTime::from_timestamp(seconds, 999_999_999).unwrap();

            prop_assert_eq!(show(instant), instant.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
    }

    #[test]
    fn a_day_without_midnight_begins_at_the_transition() {
        let cairo = zone("Africa/Cairo").unwrap();
        let date = NaiveDate::from_ymd_opt(2025, 4, 25).unwrap(); // 00:00 became 01:00

        let start = day_start(cairo, date);

        assert_eq!(show(start), "2025-04-24T22:00:00Z");
    }

    #[test]
    fn a_fold_begins_early_and_ends_late() {
        let berlin = zone("Europe/Berlin").unwrap();
        let half_past_two =
            NaiveDate::from_ymd_opt(2026, 10, 25).unwrap().and_hms_opt(2, 30, 0).unwrap();

        assert_eq!(show(earliest(berlin, half_past_two)), "2026-10-25T00:30:00Z");
        assert_eq!(show(latest(berlin, half_past_two)), "2026-10-25T01:30:00Z");
    }
}
