//! A minute of a civil day as hours are written: `00:00` to `23:59`, and `24:00`, the end of the day.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::time;

/// Minutes since the day began, by its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(u16);

impl Minute {
    /// `24:00`: hours may last until then; none begin.
    pub const END_OF_DAY: Minute = Minute(24 * 60);

    /// None: not a whole minute.
    pub fn of(time: NaiveTime) -> Option<Self> {
        let whole = time.second() == 0 && time.nanosecond() == 0;
        whole.then_some(Self((time.num_seconds_from_midnight() / 60) as u16))
    }

    /// `HH:MM`, or PostgreSQL's `HH:MM:SS`.
    pub fn parse(text: &str) -> Option<Self> {
        if let "24:00" | "24:00:00" = text {
            return Some(Self::END_OF_DAY);
        }
        let time = NaiveTime::parse_from_str(text, "%H:%M")
            .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
        Self::of(time.ok()?)
    }

    fn on(self, date: NaiveDate) -> NaiveDateTime {
        date.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(self.0))
    }

    /// The instant at which what begins at this minute of a day begins.
    pub fn begins(self, zone: Tz, date: NaiveDate) -> DateTime<Utc> {
        time::earliest(zone, self.on(date))
    }

    /// The instant at which what lasts until this minute of a day ends. A day ends where the next begins, also when the clock
    /// strikes that midnight twice.
    pub fn ends(self, zone: Tz, date: NaiveDate) -> DateTime<Utc> {
        match self {
            Self::END_OF_DAY => time::earliest(zone, self.on(date)),
            _ => time::latest(zone, self.on(date)),
        }
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text} is no minute of a day")))
    }
}

impl Type for Minute {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_minute-of-day".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let mut schema = MetaSchema::new("string");
        schema.pattern = Some(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$".to_owned());
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Minute {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let minute = value.as_ref().and_then(Value::as_str).and_then(Self::parse);
        minute.ok_or_else(|| ParseError::expected_type(value.unwrap_or_default()))
    }
}

impl ToJSON for Minute {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_of_a_day_is_read_as_it_is_shown() {
        for minute in (0..=24 * 60).map(Minute) {
            let shown = minute.to_string();
            assert_eq!(Minute::parse(&shown), Some(minute), "{shown}");
            assert_eq!(Minute::parse(&format!("{shown}:00")), Some(minute), "{shown}");
        }
        for none in ["24:01", "24:00:01", "25:00", "09:00:30", "09", "", "-1:00"] {
            assert_eq!(Minute::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_day_ends_where_the_next_begins_also_where_the_clock_changes_at_midnight() {
        let start = Minute(0);
        for zone in [Tz::Asia__Kolkata, Tz::America__Havana, Tz::Asia__Beirut, Tz::Africa__Cairo] {
            let first = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
            for date in first.iter_days().take(2 * 366) {
                let next = date.succ_opt().unwrap();
                assert_eq!(
                    Minute::END_OF_DAY.ends(zone, date),
                    start.begins(zone, next),
                    "{zone} {date}"
                );
            }
        }
    }
}
