//! Instants, civil dates, civil times, zones.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

use super::text::string;
use super::{Fault, Parser};

/// An instant: RFC 3339 with an offset.
pub fn instant(value: Value) -> Result<DateTime<Utc>, Fault> {
    let text = string(value)?;
    // A `+` that nobody encoded arrives as a space in a query.
    let parsed = DateTime::parse_from_rfc3339(&text.replace(' ', "+"));
    let instant = parsed.map_err(|_| {
        Fault(
            "invalid_format",
            "expected RFC 3339 with an offset: 2026-11-21T10:00:00+05:30".into(),
        )
    })?;
    let instant = instant.to_utc();
    if !(1900..2200).contains(&chrono::Datelike::year(&instant)) {
        return Err(Fault("out_of_range", "a year between 1900 and 2199".into()));
    }
    Ok(instant)
}

/// A civil date: `YYYY-MM-DD`.
pub fn date(value: Value) -> Result<NaiveDate, Fault> {
    let text = string(value)?;
    let date = (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok())
        .flatten()
        .ok_or_else(|| Fault("invalid_format", "expected YYYY-MM-DD".into()))?;
    if !(1880..2200).contains(&chrono::Datelike::year(&date)) {
        return Err(Fault("out_of_range", "a year between 1880 and 2199".into()));
    }
    Ok(date)
}

/// A date on which somebody was born: nobody is born tomorrow.
pub fn born(today: NaiveDate) -> impl Parser<NaiveDate> {
    move |value| match date(value)? {
        born if born > today => Err(Fault("in_the_future", "a date that has been".into())),
        born => Ok(born),
    }
}

/// A civil time: `HH:MM`.
pub fn time_of_day(value: Value) -> Result<NaiveTime, Fault> {
    let text = string(value)?;
    NaiveTime::parse_from_str(&text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"))
        .map_err(|_| Fault("invalid_format", "expected HH:MM".into()))
}

/// A zone of the IANA database.
pub fn time_zone(value: Value) -> Result<String, Fault> {
    let text = string(value)?;
    match crate::time::zone(&text) {
        Some(zone) => Ok(zone.name().to_owned()),
        None => Err(Fault("unknown_value", "expected an IANA zone such as Asia/Kolkata".into())),
    }
}
