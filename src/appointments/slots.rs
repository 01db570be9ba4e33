//! Free slots: what may be booked, by the very rules that a booking is checked by.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use poem_openapi::Object;
use serde::Serialize;

use super::diary::{self, Diary};
use super::model::Kind;
use super::seats::seat_for;
use crate::doctors::hours::{Open, Span, open_stretches, starts_within};
use crate::http::fields::{self, Fields, Readable};
use crate::ids::{DoctorId, LocationId};
use crate::tenancy::pools::Conn;
use crate::time::shown;

/// Which slots: dates, `to` exclusive.
#[derive(Object)]
pub struct ListSlots {
    pub from: NaiveDate,
    /// Exclusive; at most 62 days after `from`.
    pub to: NaiveDate,
    pub kind: Option<Kind>,
    pub location_id: Option<LocationId>,
}

impl Readable for ListSlots {
    fn read(fields: &mut Fields) -> Option<Self> {
        let from = fields.required("from", fields::date);
        let to = fields.required("to", fields::date);
        let kind = fields.optional("kind", fields::choice);
        let location_id = fields.optional("location_id", fields::id);
        if let (Some(from), Some(to)) = (from, to)
            && !(1..=62).contains(&(to - from).num_days())
        {
            fields.fault("to", "out_of_range", "1 to 62 days after from");
        }
        Some(Self { from: from?, to: to?, kind, location_id })
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
        let Open { span, location_id } = open;
        Self { starts_at: span.from, ends_at: span.to, location_id }
    }
}

#[derive(Serialize, Object)]
pub struct SlotsView {
    pub items: Vec<SlotView>,
    /// The zone in which the dates were read.
    pub time_zone: String,
}

/// The free slots of a diary, in order.
pub fn free_slots(
    diary: &Diary,
    within: Span,
    location: Option<LocationId>,
    now: DateTime<Utc>,
) -> Vec<Open> {
    if !diary.active {
        return Vec::new();
    }
    let slot = TimeDelta::minutes(i64::from(diary.slot_minutes));
    // A stretch is that of the hours alone: time off cuts slots out, it does not shift the grid.
    let mut slots: Vec<Open> = open_stretches(&diary.hours, &[], within)
        .into_iter()
        .filter(|open| location.is_none_or(|wanted| wanted == open.location_id))
        .flat_map(|open| starts_within(&open, slot).map(move |span| Open { span, ..open }))
        .filter(|open| {
            let visit = open.span;
            visit.from > now
                && within.contains(&visit)
                && !diary.time_off.iter().any(|off| off.overlaps(&visit))
                && seat_for(&diary.taken, visit, diary.capacity, false).is_some()
        })
        .collect();
    slots.sort_by_key(|open| open.span);
    slots.dedup_by_key(|open| open.span);
    slots
}

/// How far ahead an alternative is looked for.
const LOOK_AHEAD: TimeDelta = TimeDelta::days(14);

/// The next free starts after a time that was taken. Read outside any lock.
pub async fn next_free(
    conn: &mut Conn,
    doctor: DoctorId,
    location: Option<LocationId>,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let within = Span::new(from.max(now), from.max(now) + LOOK_AHEAD);
    let Some(diary) = diary::of_doctor(conn, doctor, within, None).await? else {
        return Ok(Vec::new());
    };
    let slots = free_slots(&diary, within, location, now);
    Ok(slots.into_iter().map(|open| open.span.from).take(3).collect())
}
