//! The queue as it stands: everybody of a day in turn, with place and wait. Pure, over what `store` has read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::model::{GoesBy, Priority, QueueItem, State, TokenRow};
use super::order::{self, SKIPPED_FOR, Turn};
use super::wait::Pace;

/// Of each doctor at each location: who is inside, who is called, who waits, and who has been. Queues follow each other by the doctor's
/// name.
pub fn of(rows: Vec<TokenRow>, now: DateTime<Utc>) -> Vec<QueueItem> {
    let mut queues = BTreeMap::<_, Vec<TokenRow>>::new();
    for row in rows {
        let queue = (row.doctor_name.clone(), row.doctor_id, row.location_id, row.day);
        queues.entry(queue).or_default().push(row);
    }
    queues.into_values().flat_map(|rows| of_one(rows, now)).collect()
}

fn of_one(rows: Vec<TokenRow>, now: DateTime<Utc>) -> Vec<QueueItem> {
    let Some(first) = rows.first() else { return Vec::new() };
    let quarters = first.quarter.zip(first.three_quarters);
    let pace = Pace::learnt(first.known, quarters, first.slot_minutes, first.capacity);
    let calls = rows.iter().filter_map(|row| row.nth_call).max().unwrap_or(0);
    let last_called =
        rows.iter().filter(|row| row.nth_call.is_some()).max_by_key(|row| row.nth_call);
    let last = last_called.map(|row| turn_of(row).0);
    let rows: Vec<TokenRow> = rows.into_iter().filter(|row| row.is_here).collect();
    let behind = |row: &TokenRow| match row.skipped_after {
        Some(after) => usize::try_from(SKIPPED_FOR - (calls - after)).unwrap_or(0),
        None => 0,
    };
    let under_way: Vec<f64> = rows
        .iter()
        .filter(|row| State::of(row.status, row.state) == Some(State::InConsultation))
        .map(|row| row.started_at.map_or(0.0, |at| (now - at).num_seconds() as f64))
        .collect();
    let skipped: BTreeMap<i32, usize> = rows
        .iter()
        .filter(|row| State::of(row.status, row.state) == Some(State::Skipped))
        .map(|row| (row.number, behind(row)))
        .collect();
    let mut items: Vec<QueueItem> = rows.into_iter().filter_map(item).collect();
    let waiting = items.iter().filter(|item| item.state.waits()).map(|item| Turn {
        number: item.token,
        goes_by: item.goes_by,
        due_at: item.due_at,
        behind: skipped.get(&item.token).copied().unwrap_or(0),
    });
    let line = order::in_turn(waiting.collect(), last, now);
    let called = items.iter().filter(|item| item.state == State::Called).count();
    for (nth, turn) in line.iter().enumerate() {
        let here = items.iter_mut().find(|item| item.token == turn.number && item.state.waits());
        if let Some(item) = here {
            item.place = Some(nth as i64 + 1);
            item.wait = Some(pace.wait(called + nth, &under_way));
        }
    }
    items.sort_by_key(|item| {
        let rank = match item.state {
            State::InConsultation => 0,
            State::Called => 1,
            State::Waiting | State::Skipped => 2,
            State::Done => 3,
            State::Gone => 4,
        };
        (rank, item.place, item.token)
    });
    items
}

fn turn_of(row: &TokenRow) -> (GoesBy, DateTime<Utc>) {
    let priority = Priority::of(row.priority, row.age);
    let came_at = row.checked_in_at.unwrap_or(row.starts_at);
    order::due(priority, row.walk_in, row.starts_at, came_at)
}

fn item(row: TokenRow) -> Option<QueueItem> {
    let state = State::of(row.status, row.state)?;
    let (goes_by, due_at) = turn_of(&row);
    Some(QueueItem {
        appointment_id: row.appointment_id,
        day: row.day,
        token: row.number,
        state,
        place: None,
        wait: None,
        priority: Priority::of(row.priority, row.age),
        goes_by,
        due_at,
        walk_in: row.walk_in,
        doctor_id: row.doctor_id,
        doctor_name: row.doctor_name,
        location_id: row.location_id,
        room: row.room,
        patient_id: row.patient_id,
        patient_name: row.patient_name,
        starts_at: row.starts_at,
        checked_in_at: row.checked_in_at,
        called_at: row.called_at,
        calls: row.calls,
        skips: row.skips,
        version: row.version,
    })
}
