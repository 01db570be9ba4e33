//! Free slots: what may be booked, by the very rules that a booking is checked by.

use std::iter::Peekable;
use std::vec::IntoIter;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use poem_openapi::Object;
use serde::Serialize;

use super::diary::{self, Diaries, Diary};
use super::model::{AppointmentRequest, Kind};
use super::seats::seat_for;
use crate::doctors::hours::{Open, Span, open_stretches, starts_within};
use crate::http::fields::{self, Fields, Readable};
use crate::ids::{AppointmentId, LocationId};
use crate::tenancy::pools::Conn;
use crate::time::shown;

/// Which slots: dates, `to` exclusive.
#[derive(Object)]
pub struct ListSlots {
    pub from: NaiveDate,
    /// Exclusive; at most 62 days after `from`.
    pub to: NaiveDate,
    /// Visits of every kind have the same hours.
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
    let length = TimeDelta::minutes(i64::from(diary.slot_minutes));
    let offered = offered(diary, within, location, length, now);
    let mut taken = Passing::new(diary.taken.clone(), |taken| taken.span);
    let free =
        |open: &Open| seat_for(taken.at(open.span), open.span, diary.capacity, false).is_some();
    offered.into_iter().filter(free).collect()
}

/// The starts at which a visit of this length may be while the doctor is not away, in order: every slot from the start of the
/// day's line. A stretch is that of the hours alone: time off cuts slots out, it does not shift the grid.
fn offered(
    diary: &Diary,
    within: Span,
    location: Option<LocationId>,
    length: TimeDelta,
    now: DateTime<Utc>,
) -> Vec<Open> {
    if !diary.active {
        return Vec::new();
    }
    let slot = TimeDelta::minutes(i64::from(diary.slot_minutes));
    let mut starts: Vec<Open> = open_stretches(&diary.hours, &[], within)
        .into_iter()
        .filter(|open| location.is_none_or(|wanted| wanted == open.location_id))
        .flat_map(|open| starts_within(&open, slot, length).map(move |span| Open { span, ..open }))
        .filter(|open| open.span.from > now && within.contains(&open.span))
        .collect();
    starts.sort_by_key(|open| open.span);
    starts.dedup_by_key(|open| open.span);
    let mut away = Passing::new(diary.time_off.clone(), |off| *off);
    starts.retain(|open| !away.at(open.span).iter().any(|off| off.overlaps(&open.span)));
    starts
}

/// What passes by as time goes on, and of it what is near: of two months of slots each asks the few claims beside it, not all.
struct Passing<T> {
    coming: Peekable<IntoIter<T>>,
    near: Vec<T>,
    span: fn(&T) -> Span,
}

impl<T> Passing<T> {
    fn new(mut all: Vec<T>, span: fn(&T) -> Span) -> Self {
        all.sort_by_key(span);
        Self { coming: all.into_iter().peekable(), near: Vec::new(), span }
    }

    /// All that may touch this span. Each call names one that begins no earlier than the one before.
    fn at(&mut self, now: Span) -> &[T] {
        self.near.retain(|one| (self.span)(one).to > now.from);
        while let Some(one) = self.coming.next_if(|one| (self.span)(one).from < now.to) {
            self.near.push(one);
        }
        &self.near
    }
}

/// How far ahead an alternative is looked for.
const LOOK_AHEAD: TimeDelta = TimeDelta::days(14);

/// The next free starts for a visit whose time was taken, where it is the doctor's turn and the patient's. Read outside any
/// lock. `moving` is the visit that would give its own time up.
pub async fn next_free(
    conn: &mut Conn,
    wanted: &AppointmentRequest,
    moving: Option<AppointmentId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let from = wanted.starts_at.max(now);
    let within = Span::new(from, from + LOOK_AHEAD);
    let Diaries { doctor, patient, .. } = diary::of_visit(conn, wanted, within, moving).await?;
    let (Some(diary), Some(patient)) = (doctor, patient) else { return Ok(Vec::new()) };
    let wanted_span = wanted.span(diary.slot_minutes);
    let length = wanted_span.to - wanted_span.from;
    let offered = offered(&diary, within, wanted.location_id, length, now);
    let mut doctors = Passing::new(diary.taken, |taken| taken.span);
    let mut patients = Passing::new(patient.taken, |taken| taken.span);
    let free = |visit: &Span| {
        seat_for(doctors.at(*visit), *visit, diary.capacity, false).is_some()
            && seat_for(patients.at(*visit), *visit, 1, false).is_some()
    };
    let next = offered.into_iter().map(|open| open.span).filter(free).take(3);
    Ok(next.map(|visit| visit.from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
        let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        let span = (0..600i64, 1..90i64)
            .prop_map(move |(from, length)| Span::new(at(from), at(from + length)));
        proptest::collection::vec(span, 0..most)
    }

    proptest! {
        #[test]
        fn whatever_touches_a_moment_is_near_as_it_passes(all in spans(40), mut moments in spans(40)) {
            moments.sort();
            let mut passing = Passing::new(all.clone(), |span| *span);

            for moment in moments {
                let mut near: Vec<Span> =
                    passing.at(moment).iter().copied().filter(|near| near.overlaps(&moment)).collect();
                let mut touching: Vec<Span> =
                    all.iter().copied().filter(|one| one.overlaps(&moment)).collect();
                near.sort();
                touching.sort();
                prop_assert_eq!(near, touching);
            }
        }
    }
}
