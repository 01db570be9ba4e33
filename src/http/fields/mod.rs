//! Reads the fields of a request one by one and keeps every fault, so that a form is put right in one go.
//! A field is taken by name with a parser; what nobody took is an unknown field, and is refused last.
//!
//! - `text`, `plain`, `time`, `contact`: the parsers, by the kind of value.

mod contact;
mod plain;
mod text;
mod time;

use serde_json::{Map, Value};

pub use contact::{email, language, phone};
pub use plain::{boolean, choice, id, integer, list};
pub use text::{line, prose, verbatim};
pub use time::{date, instant, time_of_day, time_zone};

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
