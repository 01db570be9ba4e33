//! Weekly hours from a file: it has all the hours of each doctor that it names, and none of the others'.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};
use serde_json::{Map, Value, json};

use super::names::Names;
use super::sheet::{Fault, Row, read_as};
use crate::db::{self, Tx};
use crate::doctors::{AvailabilityRequest, Line, extra, replace_hours};
use crate::http::fields::{Fields, Frame};
use crate::ids::DoctorId;

pub const COLUMNS: [&str; 8] =
    ["doctor", "weekday", "starts_at", "ends_at", "location", "breaks", "valid_from", "valid_to"];
/// The first so many of them must be there.
pub const NEEDED: usize = 4;
pub const MOST_ROWS: usize = 2_000;

/// Each doctor's lines.
pub type Hours = BTreeMap<DoctorId, AvailabilityRequest>;

/// The hours of each doctor that the rows name; what is wrong with them is noted.
pub fn read(rows: &[Row], names: &Names, frame: &Frame, faults: &mut Vec<Fault>) -> Hours {
    let mut hours = Hours::new();
    for row in rows {
        if let Some((doctor, line)) = read_line(row, names, frame, faults) {
            let items = || AvailabilityRequest { items: Vec::new() };
            hours.entry(doctor).or_insert_with(items).items.push(line);
        }
    }
    hours
}

/// How the lines of each doctor go with each other and with the extra days to come; what does not is noted. The transaction holds the
/// doctors' locks.
pub async fn check(
    tx: &mut Tx,
    hours: &Hours,
    names: &Names,
    today: NaiveDate,
    frame: &Frame,
    faults: &mut Vec<Fault>,
) -> sqlx::Result<()> {
    let places = names.places();
    for (doctor, request) in hours {
        let extra = extra::to_come(tx, *doctor, today).await?;
        let mut fields = Fields::of_body(Map::new(), frame.clone());
        request.check(&mut fields, &[], &extra, &places);
        // Each line lies at `/<row>`.
        faults.extend(fields.finish().into_iter().map(|error| {
            let pointer = error.pointer.clone().unwrap_or_default();
            let row = pointer.split('/').nth(1).and_then(|row| row.parse().ok()).unwrap_or(0);
            Fault::new(row, "starts_at", error.code, error.message)
        }));
    }
    Ok(())
}

fn read_line(
    row: &Row,
    names: &Names,
    frame: &Frame,
    faults: &mut Vec<Fault>,
) -> Option<(DoctorId, Line)> {
    let doctor = names.doctor(row, faults);
    let location = names.location(row, faults);
    let breaks = breaks(row, faults);
    let values = json!({
        "location_id": location.map(|(id, _)| id), "weekday": row.cell("weekday").map(weekday),
        "starts_at": row.cell("starts_at"), "ends_at": row.cell("ends_at"), "breaks": breaks,
        "valid_from": row.cell("valid_from"), "valid_to": row.cell("valid_to"),
    });
    let Value::Object(values) = values else { return None };
    let before = faults.len();
    let line: Option<Line> = read_as(row.number, values, Map::new(), frame, |field| field, faults);
    if location.is_none() {
        // Told in its own column already.
        let told: Vec<Fault> =
            faults.drain(before..).filter(|f| f.column != "location_id").collect();
        faults.extend(told);
    }
    breaks?;
    let line = Line { pointer: format!("/{}", row.number), ..line? };
    Some((doctor?, line))
}

/// ISO's number, or the day's English name; anything else as it is, for the reader to refuse.
fn weekday(cell: &str) -> Value {
    match (cell.parse::<i64>(), cell.parse::<Weekday>()) {
        (Ok(number), _) => json!(number),
        (_, Ok(day)) => json!(day.number_from_monday()),
        _ => json!(cell),
    }
}

/// `13:00-14:00; 16:00-16:15`
fn breaks(row: &Row, faults: &mut Vec<Fault>) -> Option<Vec<Value>> {
    let parts = row.cell("breaks").unwrap_or_default().split(';').map(str::trim);
    let read: Option<Vec<Value>> = parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (from, to) = part.split_once('-')?;
            Some(json!({ "starts_at": from.trim(), "ends_at": to.trim() }))
        })
        .collect();
    if read.is_none() {
        let words = "expected 13:00-14:00; 16:00-16:15";
        faults.push(Fault::new(row.number, "breaks", "invalid_format", words));
    }
    read
}

/// Replaces the hours of each doctor. How many lines stand then.
pub async fn replace(tx: &mut Tx, hours: &Hours, faults: &mut Vec<Fault>) -> sqlx::Result<usize> {
    let mut lines = 0;
    for (doctor, request) in hours {
        match replace_hours(tx, *doctor, &request.items).await {
            Ok((items, _)) => lines += items.len(),
            // The constraint is the rule; the check above should leave it nothing to find.
            Err(error) if db::violated(&error) == Some("availability_no_overlap") => {
                let row = request.items[0].pointer.trim_start_matches('/').parse().unwrap_or(0);
                faults.push(Fault::new(
                    row,
                    "starts_at",
                    "overlaps",
                    "two lines of this doctor overlap",
                ));
                break; // nothing more can be tried in this transaction
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}
