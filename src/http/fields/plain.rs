//! Ids, numbers, yes or no, words of a known set, and lists of any of these.

use std::collections::VecDeque;

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

/// A whole number within bounds, both included. A query gives it as text.
pub fn integer(min: i64, max: i64) -> impl Parser<i64> {
    move |value| {
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| Fault("wrong_type", "expected a whole number".into()))?;
        if !(min..=max).contains(&number) {
            return Err(Fault("out_of_range", format!("between {min} and {max}")));
        }
        Ok(number)
    }
}

/// Yes or no. A query gives it as text.
pub fn boolean(value: Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(yes) => Ok(yes),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(Fault("wrong_type", "expected true or false".into())),
    }
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

/// A list, each entry by the same parser.
pub fn list<T>(at_most: usize, parse: impl Parser<T>) -> impl Parser<Vec<T>> {
    move |value| {
        let Value::Array(items) = value else {
            return Err(Fault("wrong_type", "expected a list".into()));
        };
        if items.len() > at_most {
            return Err(Fault("too_long", format!("at most {at_most} entries")));
        }
        let mut good = VecDeque::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            good.push_back(parse(item).map_err(|Fault(code, words)| {
                Fault(code, format!("entry {}: {words}", index + 1))
            })?);
        }
        Ok(good.into())
    }
}
