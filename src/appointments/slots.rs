//! Free slots: what may be booked, by the very rules that a booking is checked by.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::book::Booker;
use super::diary::Asked;
use super::model::{AppointmentRequest, Kind, no_repeats};
use super::{diary, fitting};
use crate::doctors::hours::{Open, Span};
use crate::http::fields::{self, Fault, Fields, Readable};
use crate::ids::{AppointmentId, DoctorId, LocationId, ResourceId};
use crate::tenancy::pools::Conn;
use crate::time::shown;

/// Which slots: dates, `to` exclusive.
#[derive(Object)]
pub struct ListSlots {
    pub from: NaiveDate,
    /// Exclusive; at most 62 days after `from`.
    pub to: NaiveDate,
    /// `in_person` unless given. How long a visit is, and what is kept free around it, goes by its kind.
    pub kind: Option<Kind>,
    pub location_id: Option<LocationId>,
    /// Ids between commas: what the visit needs beside the doctor.
    pub resource_ids: Option<String>,
    #[oai(skip)]
    pub resources: Vec<ResourceId>,
}

impl Readable for ListSlots {
    fn read(fields: &mut Fields) -> Option<Self> {
        let from = fields.required("from", fields::date);
        let to = fields.required("to", fields::date);
        let kind = fields.optional("kind", fields::choice);
        let location_id = fields.optional("location_id", fields::id);
        let resources = fields.optional("resource_ids", between_commas).unwrap_or_default();
        if let (Some(from), Some(to)) = (from, to)
            && !(1..=62).contains(&(to - from).num_days())
        {
            fields.fault("to", "out_of_range", "1 to 62 days after from");
        }
        Some(Self { from: from?, to: to?, kind, location_id, resource_ids: None, resources })
    }
}

fn between_commas(value: Value) -> Result<Vec<ResourceId>, Fault> {
    let fault = || Fault("invalid_format", "expected up to ten UUIDs between commas".into());
    let text = value.as_str().ok_or_else(fault)?;
    let ids = text.split(',').map(|id| Uuid::try_parse(id.trim()).map(ResourceId));
    let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_| fault())?;
    match no_repeats(&ids) {
        true if ids.len() <= 10 => Ok(ids),
        _ => Err(fault()),
    }
}

/// A time that may be booked.
#[derive(Serialize, Object)]
pub struct SlotView {
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
    pub location_id: LocationId,
}

impl From<Open> for SlotView {
    fn from(open: Open) -> Self {
        let Open { span, location_id, .. } = open;
        Self { starts_at: span.from, ends_at: span.to, location_id }
    }
}

#[derive(Serialize, Object)]
pub struct SlotsView {
    pub items: Vec<SlotView>,
    /// The zone in which the dates were read.
    pub time_zone: String,
}

/// What patients may book of a doctor's that touches a time, in order: the usual length of its kind unless another is given.
pub async fn free_beside(
    conn: &mut Conn,
    doctor: DoctorId,
    freed: Span,
    kind: Kind,
    minutes: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Open>> {
    let within = Span::new(freed.from - LONGEST, freed.to + LONGEST);
    let asked = Asked { kind, ..Asked::of_slots(doctor, within) };
    let diary = diary::read(conn, &asked, now).await?;
    let length = minutes.map(TimeDelta::minutes);
    let free = fitting::free(&diary, within, None, length, true, now);
    Ok(free.filter(|open| open.span.overlaps(&freed)).collect())
}

/// No visit is longer.
const LONGEST: TimeDelta = TimeDelta::minutes(480);

/// How far ahead an alternative is looked for.
const LOOK_AHEAD: TimeDelta = TimeDelta::days(14);

/// The next free starts for a visit whose time was taken, where it is everybody's turn. Read outside any lock. `moving` is the visit
/// that would give its own time up.
pub async fn next_free(
    conn: &mut Conn,
    wanted: &AppointmentRequest,
    by: Booker,
    moving: Option<AppointmentId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let from = wanted.starts_at.max(now);
    let within = Span::new(from, from + LOOK_AHEAD);
    let diary = diary::read(conn, &wanted.asks(within, moving), now).await?;
    if diary.patient.is_none() || diary.resources.len() < wanted.resources().len() {
        return Ok(Vec::new());
    }
    let length = wanted.duration_minutes.map(TimeDelta::minutes);
    let free = fitting::free(&diary, within, wanted.location_id, length, by.is_patient(), now);
    Ok(free.take(3).map(|open| open.span.from).collect())
}
