//! Ids, numbers, yes or no, words of a known set.

use serde_json::Value;
use uuid::Uuid;

use super::text::string;
use super::{Fault, Parser};

/// An id of any kind.
pub fn id<T: From<Uuid>>(value: Value) -> Result<T, Fault> {
    let text = string(value)?;
    Uuid::try_parse(&text)
        .map(T::from)
        .map_err(|_| Fault("invalid_format", "expected a UUID".into()))
}

/// A whole number within bounds, both included.
pub fn integer(min: i64, max: i64) -> impl Parser<i64> {
    move |value| {
        let number = value.as_i64();
        let number = number.ok_or_else(|| Fault("wrong_type", "expected a whole number".into()))?;
        if !(min..=max).contains(&number) {
            return Err(Fault("out_of_range", format!("between {min} and {max}")));
        }
        Ok(number)
    }
}

/// Yes or no.
pub fn boolean(value: Value) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| Fault("wrong_type", "expected true or false".into()))
}

/// One of the words that a serde enum knows.
pub fn choice<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Fault> {
    let text = string(value)?;
    serde_json::from_value(Value::String(text)).map_err(|error| {
        // serde names the words it knows: "unknown variant `x`, expected one of `a`, `b`".
        let message = error.to_string();
        let expected = message.split_once("expected").map_or("one of the known words", |(_, e)| e);
        Fault("unknown_value", format!("expected{expected}"))
    })
}
