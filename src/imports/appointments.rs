//! Appointments from a file: visits to come by the rules of booking, visits that have been as they were.

use std::collections::BTreeSet;

use chrono::{DateTime, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::names::Names;
use super::sheet::{Fault, Row, read_as};
use crate::appointments::{self, AppointmentRequest, BookError, Status, Word};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::http::fields::{self, Frame, Parser};
use crate::ids::LocationId;
use crate::time;

pub const COLUMNS: [&str; 10] = [
    "patient",
    "doctor",
    "date",
    "time",
    "location",
    "duration_minutes",
    "kind",
    "reason",
    "address",
    "status",
];
/// The first so many of them must be there.
pub const NEEDED: usize = 4;
/// All of them are one transaction, which everybody on that server who asks what is new waits for (`live/`, the audit log's seals).
pub const MOST_ROWS: usize = 500;

/// A row that can be read: what is asked for, and what becomes of it.
pub struct Line {
    row: usize,
    new: AppointmentRequest,
    location_id: LocationId,
    status: Status,
    is_past: bool,
}

/// The rows that can be read; what is wrong with the others is noted.
pub fn read(rows: &[Row], names: &Names, frame: &Frame, faults: &mut Vec<Fault>) -> Vec<Line> {
    rows.iter().filter_map(|row| read_line(row, names, frame, faults)).collect()
}

/// Whom the file locks while it is taken in: its doctors. A file has a patient for each row, and locks of all clinics on a server
/// share one table; nobody is booked twice for that: the constraint is the rule.
pub fn doctors(lines: &[Line]) -> Vec<Uuid> {
    let all: BTreeSet<Uuid> = lines.iter().map(|line| line.new.doctor_id.0).collect();
    all.into_iter().collect()
}

/// Keeps the patients of a file from being removed meanwhile. A lock on a row is in the row.
pub async fn keep_patients(tx: &mut Tx, lines: &[Line]) -> sqlx::Result<()> {
    let all: BTreeSet<Uuid> = lines.iter().map(|line| line.new.patient_id.0).collect();
    sqlx::query("select from patients where id = any ($1) order by id for key share")
        .bind(all.into_iter().collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map(drop)
}

fn read_line(row: &Row, names: &Names, frame: &Frame, faults: &mut Vec<Fault>) -> Option<Line> {
    let patient = names.patient(row, faults);
    let doctor = names.doctor(row, faults);
    let location = names.location(row, faults);
    let date = cell(row, "date", fields::date, faults);
    let time = cell(row, "time", fields::time_of_day, faults);
    let duration = match row.cell("duration_minutes").map(str::parse::<i64>) {
        Some(Err(_)) => {
            let words = "expected a whole number";
            faults.push(Fault::new(row.number, "duration_minutes", "wrong_type", words));
            None
        }
        other => other.and_then(Result::ok),
    };
    let starts_at = match (location, date, time) {
        (Some((_, zone)), Some(date), Some(time)) => instant(zone, date, time).or_else(|| {
            let words = "the clocks skip that time on that day";
            faults.push(Fault::new(row.number, "time", "no_such_time", words));
            None
        }),
        _ => None,
    };
    let is_past = starts_at.map(|at| at <= frame.now);
    let status = status(row, is_past, faults);
    let shown = starts_at.map(time::show);
    let mut values = json!({
        "patient_id": patient, "doctor_id": doctor, "location_id": location.map(|(id, _)| id),
        "kind": row.cell("kind").unwrap_or("in_person"), "starts_at": shown,
        "duration_minutes": duration, "reason": row.cell("reason"), "address": row.cell("address"),
    });
    // What has been may be in the past: it stands at that time.
    let mut stands = if is_past == Some(true) { json!({ "starts_at": shown }) } else { json!({}) };
    let (values, stands) = (object(&mut values), object(&mut stands));
    let mut of_fields = Vec::new();
    let new = read_as(row.number, values, stands, frame, column, &mut of_fields);
    // What is not known here was told above, in its own column.
    of_fields.retain(|fault| match fault.column.as_str() {
        "patient" => patient.is_some(),
        "doctor" => doctor.is_some(),
        "time" => starts_at.is_some(),
        _ => true,
    });
    faults.append(&mut of_fields);
    let (location_id, _) = location?;
    Some(Line { row: row.number, new: new?, location_id, status: status?, is_past: is_past? })
}

fn object(value: &mut Value) -> Map<String, Value> {
    value.as_object_mut().map(std::mem::take).unwrap_or_default()
}

fn cell<T>(row: &Row, column: &str, parse: impl Parser<T>, faults: &mut Vec<Fault>) -> Option<T> {
    let text = row.required(column, faults)?;
    match parse(Value::from(text)) {
        Ok(value) => Some(value),
        Err(fields::Fault(code, words)) => {
            faults.push(Fault::new(row.number, column, code, words));
            None
        }
    }
}

/// The instant of a civil time: of two, the earlier; none where the clocks skip it.
fn instant(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&date.and_time(time)) {
        LocalResult::Single(instant) => Some(instant.to_utc()),
        LocalResult::Ambiguous(one, other) => Some(one.min(other).to_utc()),
        LocalResult::None => None,
    }
}

/// What becomes of a visit: one to come is booked or confirmed; one that has been was completed, cancelled or missed. Where it is not
/// known which of both, any of these.
fn status(row: &Row, is_past: Option<bool>, faults: &mut Vec<Fault>) -> Option<Status> {
    use Status::{Booked, Cancelled, Completed, Confirmed, NoShow};
    let Some(text) = row.cell("status") else {
        return is_past.map(|is_past| if is_past { Completed } else { Booked });
    };
    let (allowed, words): (&[Status], _) = match is_past {
        Some(true) => (
            &[Completed, Cancelled, NoShow],
            "a visit that has been is completed, cancelled or no_show",
        ),
        Some(false) => (&[Booked, Confirmed], "a visit to come is booked or confirmed"),
        None => (
            &[Booked, Confirmed, Completed, Cancelled, NoShow],
            "a visit is booked or confirmed, or it was completed, cancelled or no_show",
        ),
    };
    let found = allowed.iter().copied().find(|status| status.as_str() == text.to_lowercase());
    if found.is_none() {
        faults.push(Fault::new(row.number, "status", "unknown_value", words));
    }
    found
}

/// The column that a field of a booking comes from.
fn column(field: &str) -> &str {
    match field {
        "patient_id" => "patient",
        "doctor_id" => "doctor",
        "location_id" => "location",
        "starts_at" => "time",
        other => other,
    }
}

/// What was made of a file.
#[derive(Debug, Default)]
pub struct Entered {
    pub to_come: usize,
    pub past: usize,
}

/// Makes every visit, in the file's order, and goes on after one that cannot be: the caller gives up what was made if there was any.
pub async fn enter(
    tx: &mut Tx,
    lines: &[Line],
    word: Word,
    now: DateTime<Utc>,
    faults: &mut Vec<Fault>,
) -> sqlx::Result<Entered> {
    let mut entered = Entered::default();
    let mut made: Vec<(usize, [Uuid; 2], Span)> = Vec::new();
    for line in lines {
        let people = [line.new.doctor_id.0, line.new.patient_id.0];
        let visit = match line.is_past {
            true => appointments::record(tx, &line.new, line.location_id, line.status, now).await,
            false => {
                let confirmed = line.status == Status::Confirmed;
                appointments::enter(tx, &line.new, confirmed, word, now).await
            }
        };
        match visit {
            Ok(visit) => {
                made.push((line.row, people, visit.span()));
                if line.is_past { entered.past += 1 } else { entered.to_come += 1 }
            }
            Err(BookError::Db(error)) => return Err(error),
            Err(BookError::Invalid(errors)) => {
                faults.extend(errors.into_iter().map(|e| Fault::of_field(line.row, e, column)));
            }
            Err(BookError::SlotTaken) => {
                let span = line.new.widest();
                let rival = made.iter().rev().find(|(_, others, other)| {
                    other.overlaps(&span) && people.iter().any(|one| others.contains(one))
                });
                let words = match rival {
                    Some((row, ..)) => format!("that time is taken, by row {row} it seems"),
                    None => "that time is taken".to_owned(),
                };
                faults.push(Fault::new(line.row, "time", "slot_taken", words));
            }
            Err(error @ BookError::MayNotOverbook) => {
                faults.push(Fault::new(line.row, "", "forbidden", error.to_string()));
            }
        }
    }
    Ok(entered)
}
