//! Reads the fields of a request one by one and keeps every fault, so that a form is put right in one go.
//! A field is taken by name with a parser; what nobody took is an unknown field, and is refused last.
//!
//! - `text`, `plain`, `time`, `contact`: the parsers, by the kind of value.

mod contact;
mod plain;
mod text;
mod time;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

pub use contact::{country, email, language, phone};
pub use plain::{boolean, choice, id, integer};
pub use text::{line, prose, verbatim};
pub use time::{born, date, instant, time_of_day, time_zone};

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

/// What fields are read by beside what they say.
#[derive(Clone, Debug)]
pub struct Frame {
    pub now: DateTime<Utc>,
    /// By whose calendar it is today.
    pub zone: Tz,
    /// How national phone numbers are read (ISO 3166, two letters); empty where there are none.
    pub country: String,
}

/// The fields of a JSON object or of a query string.
pub struct Fields {
    place: Place,
    prefix: String,
    values: Map<String, Value>,
    repeated: Vec<String>,
    frame: Frame,
    /// In a replacement: what the caller was shown of what stands.
    standing: Map<String, Value>,
    errors: Vec<FieldError>,
    /// Told after all others: what nobody knows comes last.
    last: Vec<FieldError>,
    malformed: Option<&'static str>,
}

impl Fields {
    pub fn of_body(values: Map<String, Value>, frame: Frame) -> Self {
        Self::new(Place::Body, String::new(), values, frame)
    }

    pub fn of_query(query: &str, frame: Frame) -> Self {
        let mut fields = Self::new(Place::Query, String::new(), Map::new(), frame);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let first = fields.values.insert(name.to_string(), Value::String(value.to_string()));
            if first.is_some() && !fields.repeated.contains(&name.to_string()) {
                fields.repeated.push(name.to_string());
            }
        }
        fields
    }

    fn new(place: Place, prefix: String, values: Map<String, Value>, frame: Frame) -> Self {
        Self {
            place,
            prefix,
            values,
            repeated: Vec::new(),
            frame,
            standing: Map::new(),
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
        self.frame.country = country.to_owned();
    }

    pub fn country(&self) -> &str {
        &self.frame.country
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.frame.now
    }

    /// The date where the clinic is.
    pub fn today(&self) -> NaiveDate {
        crate::time::date_in(self.frame.zone, self.frame.now)
    }

    /// The date before: where another place's calendar is behind, it is today's there.
    pub fn yesterday(&self) -> NaiveDate {
        self.today().pred_opt().unwrap_or(NaiveDate::MIN)
    }

    /// These fields are to replace what stands. What is `kept` this caller may not change: sent it is as it stands, and so it
    /// is read, sent or not.
    pub fn replace(&mut self, standing: Map<String, Value>, kept: &[&str]) {
        for name in kept {
            let stands = standing.get(*name).cloned().unwrap_or_default();
            if self.take(name).is_some_and(|sent| sent != stands) {
                self.fault(name, "read_only", READ_ONLY);
            }
            self.values.insert((*name).to_owned(), stands);
        }
        self.standing = standing;
    }

    /// What stands in a field that is to be replaced.
    pub fn standing<T>(&self, name: &str, parse: impl Parser<T>) -> Option<T> {
        self.standing.get(name).cloned().and_then(|value| parse(value).ok())
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
        self.entries(name, at_most, "expected a list of objects")
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| self.nested(&format!("{name}/{index}"), item, T::read))
            .collect()
    }

    /// Takes a list that may be missing or null, each entry by the same parser. Each bad entry is named.
    pub fn list<T>(&mut self, name: &str, at_most: usize, parse: impl Parser<T>) -> Option<Vec<T>> {
        let entries = self.entries(name, at_most, "expected a list")?;
        let all = entries.len();
        let mut good = Vec::with_capacity(all);
        for (index, entry) in entries.into_iter().enumerate() {
            match parse(entry) {
                Ok(entry) => good.push(entry),
                Err(Fault(code, words)) => self.fault_at(&format!("{name}/{index}"), code, words),
            }
        }
        (good.len() == all).then_some(good)
    }

    /// Says whether the caller sent this field at all, null included.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Says whether the caller sent something for this field.
    pub fn gives(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// All faults, unknown fields last. In a replacement, what nobody took may be sent back as it stands; a changed one is
    /// read-only.
    pub fn finish(mut self) -> Vec<FieldError> {
        for (name, stands) in std::mem::take(&mut self.standing) {
            if self.values.remove(&name).is_some_and(|sent| sent != stands) {
                self.fault(&name, "read_only", READ_ONLY);
            }
        }
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

    fn entries(
        &mut self,
        name: &str,
        at_most: usize,
        expected: &'static str,
    ) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(entries) if entries.len() <= at_most => return Some(entries),
            Value::Array(_) => self.fault(name, "too_long", format!("at most {at_most} entries")),
            _ => self.fault(name, "wrong_type", expected),
        }
        None
    }

    fn parsed<T>(&mut self, name: &str, value: Value, parse: impl Parser<T>) -> Option<T> {
        let spelt = self.spelt_out(&value);
        let read = match (parse(value), spelt) {
            (Err(Fault("wrong_type", _)), Some(spelt)) => parse(spelt),
            (read, _) => read,
        };
        match read {
            Ok(value) => Some(value),
            Err(Fault(code, message)) => {
                self.fault(name, code, message);
                None
            }
        }
    }

    /// A query has nothing but text: where a number is wanted, or a yes or no, it is what the text spells.
    fn spelt_out(&self, value: &Value) -> Option<Value> {
        let text = value.as_str().filter(|_| self.place == Place::Query)?;
        let spelt: Value = serde_json::from_str(text).ok()?;
        (spelt.is_number() || spelt.is_boolean()).then_some(spelt)
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
        let prefix = format!("{}/{path}", self.prefix);
        let mut inner = Fields::new(self.place, prefix, values, self.frame.clone());
        let read = read(&mut inner);
        let faults = inner.finish();
        let clean = faults.is_empty();
        self.errors.extend(faults);
        read.filter(|_| clean)
    }

    fn fault_at(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::body(format!("{}/{path}", self.prefix), code, message));
    }
}

const READ_ONLY: &str = "this field cannot be changed here";

/// A member name as a JSON pointer wants it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
