//! Weekly hours as somebody writes them down: line by line, every fault named at its line.

use chrono::{Datelike, NaiveDate};
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;

use super::extra::ExtraHoursView;
use super::hours::Break;
use super::minute::Minute;
use crate::error::FieldError;
use crate::http::fields::{self, Fault, Fields, Readable};
use crate::ids::{AvailabilityId, LocationId};

const MOST_LINES: usize = 200;
const MOST_BREAKS: usize = 12;

/// One line of the weekly hours as the API shows it, in the civil time of its location.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct LineView {
    pub id: AvailabilityId,
    pub location_id: LocationId,
    /// ISO: Monday is 1.
    pub weekday: i16,
    /// `HH:MM`
    pub starts_at: Minute,
    /// `HH:MM`
    pub ends_at: Minute,
    pub breaks: Vec<Break>,
    /// Null: always was.
    pub valid_from: Option<NaiveDate>,
    /// Exclusive. Null: until further notice.
    pub valid_to: Option<NaiveDate>,
}

impl LineView {
    /// Whether it says anything of a day.
    pub fn applies_on(&self, day: NaiveDate) -> bool {
        u32::try_from(self.weekday).ok() == Some(day.weekday().number_from_monday())
            && self.valid_from.is_none_or(|from| from <= day)
            && self.valid_to.is_none_or(|to| day < to)
    }
}

/// A doctor's weekly hours.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct AvailabilityView {
    pub items: Vec<LineView>,
}

/// One line as a caller writes it.
#[derive(Clone, Debug, PartialEq, Object)]
pub struct Line {
    /// Of a line that stands, to keep its name.
    pub id: Option<AvailabilityId>,
    pub location_id: LocationId,
    /// ISO: Monday is 1.
    pub weekday: i16,
    /// `HH:MM`
    pub starts_at: Minute,
    /// `HH:MM`, the same day, `24:00` at the latest.
    pub ends_at: Minute,
    /// Within the hours, one after the other.
    #[oai(default)]
    pub breaks: Vec<Break>,
    pub valid_from: Option<NaiveDate>,
    /// Exclusive.
    pub valid_to: Option<NaiveDate>,
    /// Where it lies in the body.
    #[oai(skip)]
    pub pointer: String,
}

impl Readable for Line {
    fn read(fields: &mut Fields) -> Option<Self> {
        let pointer = fields.pointer().to_owned();
        let id = fields.optional("id", fields::id);
        let location_id = fields.required("location_id", fields::id);
        let weekday = fields.required("weekday", fields::integer(1, 7));
        let (hours, breaks) = read_hours(fields);
        let (starts_at, ends_at) = hours.unzip();
        let valid_from = fields.optional("valid_from", fields::date);
        let valid_to = fields.optional("valid_to", fields::date);
        if let (Some(from), Some(to)) = (valid_from, valid_to)
            && from >= to
        {
            fields.fault("valid_to", "out_of_range", "later than valid_from");
        }
        Some(Self {
            id,
            location_id: location_id?,
            weekday: weekday? as i16,
            starts_at: starts_at?,
            ends_at: ends_at?,
            breaks,
            valid_from,
            valid_to,
            pointer,
        })
    }
}

/// Reads the hours of a day and their breaks.
pub(super) fn read_hours(fields: &mut Fields) -> (Option<(Minute, Minute)>, Vec<Break>) {
    let starts_at = fields.required("starts_at", beginning);
    let ends_at = fields.required("ends_at", minute);
    let breaks: Vec<Placed> = fields.objects("breaks", MOST_BREAKS);
    let hours = starts_at.zip(ends_at);
    if let Some((from, to)) = hours {
        match from < to {
            true => check_breaks(fields, (from, to), &breaks),
            false => fields.fault("ends_at", "out_of_range", "later than starts_at"),
        }
    }
    (hours, breaks.into_iter().map(|placed| placed.pause).collect())
}

/// A break, and where it lies in the body.
struct Placed {
    pause: Break,
    pointer: String,
}

impl Readable for Placed {
    fn read(fields: &mut Fields) -> Option<Self> {
        let pointer = fields.pointer().to_owned();
        let starts_at = fields.required("starts_at", beginning);
        let ends_at = fields.required("ends_at", minute);
        let (starts_at, ends_at) = (starts_at?, ends_at?);
        if starts_at >= ends_at {
            fields.fault("ends_at", "out_of_range", "later than starts_at");
        }
        Some(Self { pause: Break { starts_at, ends_at }, pointer })
    }
}

/// Hours are shown to the minute, so they are kept to the minute.
fn minute(value: Value) -> Result<Minute, Fault> {
    if let Some(Minute::END_OF_DAY) = value.as_str().and_then(Minute::parse) {
        return Ok(Minute::END_OF_DAY);
    }
    Minute::of(fields::time_of_day(value)?)
        .ok_or_else(|| Fault("invalid_format", "hours begin and end on a whole minute".into()))
}

fn beginning(value: Value) -> Result<Minute, Fault> {
    match minute(value)? {
        Minute::END_OF_DAY => Err(Fault("out_of_range", "nothing begins when the day ends".into())),
        minute => Ok(minute),
    }
}

fn check_breaks(fields: &mut Fields, (from, to): (Minute, Minute), breaks: &[Placed]) {
    for (nth, Placed { pause, pointer }) in breaks.iter().enumerate() {
        if pause.starts_at < from || to < pause.ends_at {
            fields.note(FieldError::body(
                pointer,
                "outside_hours",
                "a break lies within the hours",
            ));
        }
        let overlaps = breaks[..nth].iter().any(|Placed { pause: earlier, .. }| {
            earlier.starts_at < pause.ends_at && pause.starts_at < earlier.ends_at
        });
        if overlaps {
            fields.note(FieldError::body(pointer, "overlaps", "it overlaps an earlier break"));
        }
    }
}

impl Line {
    /// As it would be shown; a new one has no id to show yet.
    fn view(&self) -> LineView {
        LineView {
            id: self.id.unwrap_or(AvailabilityId(uuid::Uuid::nil())),
            location_id: self.location_id,
            weekday: self.weekday,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            breaks: self.breaks.clone(),
            valid_from: self.valid_from,
            valid_to: self.valid_to,
        }
    }

    /// Nobody sits in two branches at once: the rule of the constraint `availability_no_overlap`, for a person to read.
    fn overlaps(&self, other: &Line) -> bool {
        let from = |line: &Line| line.valid_from.unwrap_or(NaiveDate::MIN);
        let to = |line: &Line| line.valid_to.unwrap_or(NaiveDate::MAX);
        self.weekday == other.weekday
            && self.starts_at < other.ends_at
            && other.starts_at < self.ends_at
            && from(self) < to(other)
            && from(other) < to(self)
    }
}

/// All the weekly hours of a doctor: what is not in it ends.
#[derive(Clone, Debug, Object)]
pub struct AvailabilityRequest {
    pub items: Vec<Line>,
}

impl Readable for AvailabilityRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        if !fields.has("items") {
            fields.fault("items", "required", "an empty list ends all hours");
        }
        Some(Self { items: fields.objects("items", MOST_LINES) })
    }
}

impl AvailabilityRequest {
    /// How many lines there are, wherever they come from, and how they go with each other, with the lines that `stand`, with the
    /// `extra` days to come and with the clinic's `places`.
    pub fn check(
        &self,
        fields: &mut Fields,
        stand: &[LineView],
        extra: &[ExtraHoursView],
        places: &[LocationId],
    ) {
        if let Some(line) = self.items.get(MOST_LINES) {
            let words = format!("at most {MOST_LINES} lines");
            return fields.note(FieldError::body(&line.pointer, "too_long", words));
        }
        for (nth, line) in self.items.iter().enumerate() {
            let mut fault = |member: &str, code, message: &str| {
                fields.note(FieldError::body(format!("{}{member}", line.pointer), code, message));
            };
            if let Some(id) = line.id {
                if !stand.iter().any(|standing| standing.id == id) {
                    fault("/id", "not_found", "this doctor has no line of this id");
                }
                if self.items[..nth].iter().any(|earlier| earlier.id == Some(id)) {
                    fault("/id", "repeated", "an earlier line has this id");
                }
            }
            if !places.contains(&line.location_id) {
                fault("/location_id", "not_found", "no such location");
            }
            if self.items[..nth].iter().any(|earlier| line.overlaps(earlier)) {
                fault("", "overlaps", "it overlaps an earlier line");
            }
            if extra.iter().any(|extra| extra.overlaps(&line.view())) {
                fault("", "overlaps", "it overlaps an extra day");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(body: Value, places: &[LocationId]) -> Vec<(String, &'static str)> {
        let Value::Object(values) = body else { panic!("an object") };
        let now = "2026-11-21T04:30:00Z".parse().unwrap();
        let frame = fields::Frame { now, zone: chrono_tz::Tz::UTC, country: String::new() };
        let mut fields = Fields::of_body(values, frame);
        let read = AvailabilityRequest::read(&mut fields).unwrap();
        read.check(&mut fields, &[], &[], places);
        fields.finish().into_iter().map(|e| (e.pointer.unwrap_or_default(), e.code)).collect()
    }

    #[test]
    fn every_fault_of_every_line_is_named_where_it_lies() {
        let here = LocationId::new();
        let body = json!({ "items": [
            { "location_id": here, "weekday": 8, "starts_at": "9", "ends_at": "12:00" },
            { "location_id": here, "weekday": 1, "starts_at": "09:00", "ends_at": "12:00",
              "breaks": [{ "starts_at": "08:30", "ends_at": "09:30" }, { "starts_at": "09:15", "ends_at": "09:45" },
                         { "starts_at": "11:00", "ends_at": "11:00" }] },
            { "location_id": here, "weekday": 2, "starts_at": "12:00", "ends_at": "09:00" },
            { "location_id": LocationId::new(), "weekday": 3, "starts_at": "09:00", "ends_at": "12:00" },
            { "location_id": here, "weekday": 3, "starts_at": "11:59", "ends_at": "13:00" },
            { "location_id": here, "weekday": 4, "starts_at": "09:00", "ends_at": "12:00",
              "valid_from": "2026-11-02", "valid_to": "2026-11-02", "room": 1 },
        ]});

        let found = faults(body, &[here]);

        let expected = [
            ("/items/0/weekday", "out_of_range"),
            ("/items/0/starts_at", "invalid_format"),
            ("/items/1/breaks/2/ends_at", "out_of_range"),
            ("/items/1/breaks/0", "outside_hours"),
            ("/items/1/breaks/1", "overlaps"),
            ("/items/2/ends_at", "out_of_range"),
            ("/items/5/valid_to", "out_of_range"),
            ("/items/5/room", "unknown_field"),
            ("/items/3/location_id", "not_found"),
            ("/items/4", "overlaps"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn lines_overlap_only_where_day_hours_and_dates_all_do() {
        let at = |hour: u8| Minute::parse(&format!("{hour}:00")).unwrap();
        let on = |day| NaiveDate::from_ymd_opt(2026, 11, day);
        let line = Line {
            id: None,
            location_id: LocationId::new(),
            weekday: 1,
            starts_at: at(9),
            ends_at: at(12),
            breaks: vec![],
            valid_from: None,
            valid_to: None,
            pointer: String::new(),
        };
        let spring = Line { valid_to: on(10), ..line.clone() };
        for (name, a, b, overlap) in [
            ("the same", &line, line.clone(), true),
            ("another day", &line, Line { weekday: 2, ..line.clone() }, false),
            (
                "right after",
                &line,
                Line { starts_at: at(12), ends_at: at(14), ..line.clone() },
                false,
            ),
            ("within", &line, Line { starts_at: at(10), ends_at: at(11), ..line.clone() }, true),
            (
                "another branch",
                &line,
                Line { location_id: LocationId::new(), ..line.clone() },
                true,
            ),
            (
                "once the other has ended",
                &spring,
                Line { valid_from: on(10), ..line.clone() },
                false,
            ),
            ("a day before it ends", &spring, Line { valid_from: on(9), ..line.clone() }, true),
        ] {
            assert_eq!(a.overlaps(&b), overlap, "{name}");
            assert_eq!(b.overlaps(a), overlap, "{name}, the other way round");
        }
    }

    #[test]
    fn hours_do_not_end_by_leaving_them_out() {
        assert_eq!(faults(json!({}), &[]), [("/items".to_owned(), "required")]);
        assert_eq!(faults(json!({ "items": [] }), &[]), []);
    }
}
