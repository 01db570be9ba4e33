//! Free slots: what may be booked, by the very rules that a booking is checked by.

use chrono::{DateTime, TimeDelta, Utc};

use super::diary::{self, Diary};
use super::seats::seat_for;
use crate::doctors::hours::{Open, Span, open_stretches, starts_within};
use crate::ids::{DoctorId, LocationId};
use crate::tenancy::pools::Conn;

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
