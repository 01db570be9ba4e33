//! Reads the fields of a request one by one and keeps every fault, so that a form is put right in one go.
//! A field is taken by name with a parser; what nobody took is an unknown field, and is refused last.

use std::collections::VecDeque;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::error::FieldError;

/// Something that reads itself from the fields of a request.
pub trait Readable: Sized {
    /// `None` when a required field is missing or bad: the fault is then among those that `fields` holds.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// What is wrong with one value: a stable code, and words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str, pub String);

/// Finds a value good or says what is wrong with it.
pub trait Parser<T>: Fn(Value) -> Result<T, Fault> {}
impl<T, F: Fn(Value) -> Result<T, Fault>> Parser<T> for F {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Query,
}

/// The fields of a JSON object or of a query string.
pub struct Fields {
    place: Place,
    prefix: String,
    values: Map<String, Value>,
    repeated: Vec<String>,
    country: String,
    errors: Vec<FieldError>,
    /// Told after all others: what nobody knows comes last.
    last: Vec<FieldError>,
    malformed: Option<&'static str>,
}

impl Fields {
    pub fn of_body(values: Map<String, Value>) -> Self {
        Self::new(Place::Body, String::new(), values)
    }

    pub fn of_query(query: &str) -> Self {
        let mut fields = Self::new(Place::Query, String::new(), Map::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let first = fields.values.insert(name.to_string(), Value::String(value.to_string()));
            if first.is_some() && !fields.repeated.contains(&name.to_string()) {
                fields.repeated.push(name.to_string());
            }
        }
        fields
    }

    fn new(place: Place, prefix: String, values: Map<String, Value>) -> Self {
        Self {
            place,
            prefix,
            values,
            repeated: Vec::new(),
            country: String::new(),
            errors: Vec::new(),
            last: Vec::new(),
            malformed: None,
        }
    }

    /// Adds faults of the same request that are not in these fields.
    pub fn set_outside(&mut self, first: Vec<FieldError>, last: Vec<FieldError>) {
        self.errors.extend(first);
        self.last.extend(last);
    }

    /// Notes that a value cannot be read at all: `400` for the whole request, before any fault.
    pub fn set_malformed(&mut self, detail: &'static str) {
        self.malformed = Some(detail);
    }

    pub fn malformed(&self) -> Option<&'static str> {
        self.malformed
    }

    /// Sets the country by which national phone numbers are read (ISO 3166, two letters).
    pub fn set_country(&mut self, country: &str) {
        self.country = country.to_owned();
    }

    pub fn country(&self) -> &str {
        &self.country
    }

    /// Notes a fault of one field, found by the reader itself.
    pub fn fault(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        let error = match self.place {
            Place::Body => {
                FieldError::body(format!("{}/{}", self.prefix, escaped(name)), code, message)
            }
            Place::Query => FieldError::outside("query", name, code, message),
        };
        self.errors.push(error);
    }

    /// Notes a fault that lies elsewhere in the body, such as one line of a list that does not go with another.
    pub fn note(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// Where the object lies that is being read, as a JSON pointer: `/items/3`.
    pub fn pointer(&self) -> &str {
        &self.prefix
    }

    /// Takes a field that must be there.
    pub fn required<T>(&mut self, name: &str, parse: impl Parser<T>) -> Option<T> {
        match self.take(name) {
            None => {
                self.fault(name, "required", "this field is required");
                None
            }
            Some(value) => self.parsed(name, value, parse),
        }
    }

    /// Takes a field that may be missing or null.
    pub fn optional<T>(&mut self, name: &str, parse: impl Parser<T>) -> Option<T> {
        let value = self.take(name)?;
        self.parsed(name, value, parse)
    }

    /// Takes an object and reads it in turn.
    pub fn object<T: Readable>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            None => {
                self.fault(name, "required", "this field is required");
                None
            }
            Some(value) => self.nested(name, value, T::read),
        }
    }

    /// Takes an object that may be missing or null.
    pub fn optional_object<T: Readable>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        self.nested(name, value, T::read)
    }

    /// Takes a list of objects; missing or null is an empty list.
    pub fn objects<T: Readable>(&mut self, name: &str, at_most: usize) -> Vec<T> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.fault(name, "wrong_type", "expected a list of objects");
            return Vec::new();
        };
        if items.len() > at_most {
            self.fault(name, "too_long", format!("at most {at_most} entries"));
            return Vec::new();
        }
        items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| self.nested(&format!("{name}/{index}"), item, T::read))
            .collect()
    }

    /// Says whether the caller sent this field at all, null included.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Accepts what is left when it is equal to what stands (`current`), so that a view may be sent back;
    /// a changed one is read-only, any other unknown.
    pub fn leave_unchanged(&mut self, current: &Map<String, Value>) {
        let left: Vec<String> = self.values.keys().cloned().collect();
        for name in left {
            let Some(standing) = current.get(&name) else { continue };
            let sent = self.values.remove(&name);
            if sent.as_ref() != Some(standing) {
                self.fault(&name, "read_only", "this field cannot be changed here");
            }
        }
    }

    /// All faults, unknown fields last.
    pub fn finish(mut self) -> Vec<FieldError> {
        for name in std::mem::take(&mut self.repeated) {
            self.fault(&name, "repeated", "give this parameter once");
        }
        for name in std::mem::take(&mut self.values).keys() {
            self.fault(name, "unknown_field", "there is no field of this name");
        }
        self.errors.append(&mut self.last);
        self.errors
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    fn parsed<T>(&mut self, name: &str, value: Value, parse: impl Parser<T>) -> Option<T> {
        match parse(value) {
            Ok(value) => Some(value),
            Err(Fault(code, message)) => {
                self.fault(name, code, message);
                None
            }
        }
    }

    fn nested<T>(
        &mut self,
        path: &str,
        value: Value,
        read: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        let Value::Object(values) = value else {
            self.fault_at(path, "wrong_type", "expected an object");
            return None;
        };
        let mut inner = Fields::new(self.place, format!("{}/{path}", self.prefix), values);
        inner.set_country(&self.country);
        let read = read(&mut inner);
        let faults = inner.finish();
        let clean = faults.is_empty();
        self.errors.extend(faults);
        read.filter(|_| clean)
    }

    fn fault_at(&mut self, path: &str, code: &'static str, message: &str) {
        self.errors.push(FieldError::body(format!("{}/{path}", self.prefix), code, message));
    }
}

/// A member name as a JSON pointer wants it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn string(value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Fault("wrong_type", "expected text".into())),
    }
}

fn checked(text: String, lines: bool, min: usize, max: usize) -> Result<String, Fault> {
    let text: String = text.nfc().collect();
    let text = text.trim();
    let forbidden = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if text.chars().any(forbidden) {
        return Err(Fault("invalid_characters", "control characters are not allowed".into()));
    }
    match text.chars().count() {
        n if n < min && min == 1 => Err(Fault("required", "this field may not be empty".into())),
        n if n < min => Err(Fault("too_short", format!("at least {min} characters"))),
        n if n > max => Err(Fault("too_long", format!("at most {max} characters"))),
        _ => Ok(text.to_owned()),
    }
}

/// One line of text, trimmed, in Unicode's composed form.
pub fn line(min: usize, max: usize) -> impl Parser<String> {
    move |value| checked(string(value)?, false, min, max)
}

/// Text of several lines.
pub fn prose(max: usize) -> impl Parser<String> {
    move |value| checked(string(value)?, true, 0, max)
}

/// Text taken as it is: passwords, tokens. Neither trimmed nor normalised.
pub fn verbatim(min: usize, max: usize) -> impl Parser<String> {
    move |value| {
        let text = string(value)?;
        if text.contains('\0') {
            return Err(Fault("invalid_characters", "U+0000 is not allowed".into()));
        }
        match text.chars().count() {
            n if n < min => Err(Fault("too_short", format!("at least {min} characters"))),
            n if n > max => Err(Fault("too_long", format!("at most {max} characters"))),
            _ => Ok(text),
        }
    }
}

/// An id of any kind.
pub fn id<T: From<Uuid>>(value: Value) -> Result<T, Fault> {
    let text = string(value)?;
    Uuid::try_parse(&text)
        .map(T::from)
        .map_err(|_| Fault("invalid_format", "expected a UUID".into()))
}

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

/// A civil time: `HH:MM`.
pub fn time_of_day(value: Value) -> Result<NaiveTime, Fault> {
    let text = string(value)?;
    NaiveTime::parse_from_str(&text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"))
        .map_err(|_| Fault("invalid_format", "expected HH:MM".into()))
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

/// An e-mail address, one that a mail server would take. Compared without case; kept as given.
pub fn email(value: Value) -> Result<String, Fault> {
    let text = checked(string(value)?, false, 1, 254)?;
    let domain_has_dot = text.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.'));
    match text.parse::<lettre::Address>() {
        Ok(_) if domain_has_dot => Ok(text),
        _ => Err(Fault("invalid_format", "expected an e-mail address".into())),
    }
}

/// A phone number, kept as E.164. A national form is read by the clinic's country (ISO 3166, two letters).
pub fn phone(country: &str) -> impl Parser<String> {
    let country = country.parse::<phonenumber::country::Id>().ok();
    move |value| {
        let text = checked(string(value)?, false, 1, 32)?;
        let bad =
            || Fault("invalid_format", "expected a phone number, best as +919876543210".into());
        let number = phonenumber::parse(country, &text).map_err(|_| bad())?;
        if !number.is_valid() {
            return Err(bad());
        }
        Ok(number.format().mode(phonenumber::Mode::E164).to_string())
    }
}

/// A zone of the IANA database.
pub fn time_zone(value: Value) -> Result<String, Fault> {
    let text = string(value)?;
    match crate::time::zone(&text) {
        Some(zone) => Ok(zone.name().to_owned()),
        None => Err(Fault("unknown_value", "expected an IANA zone such as Asia/Kolkata".into())),
    }
}

/// A language by its ISO 639 code.
pub fn language(value: Value) -> Result<String, Fault> {
    let text = string(value)?;
    let good = (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    good.then_some(text).ok_or_else(|| {
        Fault("invalid_format", "expected a language code such as en, hi, ml".into())
    })
}
