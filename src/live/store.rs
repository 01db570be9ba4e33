//! The reading half's SQL.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::cursor::Cursor;
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};
use crate::tenancy::pools::Conn;

/// An event as it was written.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub at_cursor: Cursor,
    pub at: DateTime<Utc>,
    pub kind: String,
    pub appointment_id: Option<AppointmentId>,
    pub doctor_id: Option<DoctorId>,
    pub patient_id: Option<PatientId>,
    pub location_id: Option<LocationId>,
    pub subjects: Vec<Uuid>,
    pub details: Value,
}

/// The columns of an event, as [`event`] reads them.
macro_rules! event {
    ($rest:literal) => {
        concat!(
            "select xid::text::bigint as event_xid, id, at, kind, appointment_id, doctor_id, patient_id, location_id,
                    subjects, details
             from live_events ",
            $rest
        )
    };
}

/// The event of a row; none where a join found nothing.
fn event(row: &PgRow) -> sqlx::Result<Option<EventRow>> {
    let Some(xid) = row.try_get("event_xid")? else { return Ok(None) };
    Ok(Some(EventRow {
        at_cursor: Cursor { xid, id: row.try_get("id")? },
        at: row.try_get("at")?,
        kind: row.try_get("kind")?,
        appointment_id: row.try_get("appointment_id")?,
        doctor_id: row.try_get("doctor_id")?,
        patient_id: row.try_get("patient_id")?,
        location_id: row.try_get("location_id")?,
        subjects: row.try_get("subjects")?,
        details: row.try_get("details")?,
    }))
}

fn events(rows: &[PgRow]) -> sqlx::Result<Vec<EventRow>> {
    rows.iter().filter_map(|row| event(row).transpose()).collect()
}

/// What a look found.
pub struct Look {
    /// Nothing before this can commit any more.
    pub horizon: Cursor,
    /// Something has been committed that lies behind it: a transaction older than that still runs.
    pub is_held_up: bool,
    pub events: Vec<EventRow>,
}

/// What was committed since, in order, as far as nothing can come between any more. One statement, one snapshot.
pub async fn look(conn: &mut Conn, after: Cursor, limit: i64) -> sqlx::Result<Look> {
    let rows = sqlx::query(concat!(
        "with horizon as materialized (select pg_snapshot_xmin(pg_current_snapshot()) as xmin)
         select h.xmin::text::bigint as horizon,
                coalesce((select xid >= h.xmin from live_events order by live_events.xid desc, id desc limit 1), false)
                  as is_held_up,
                e.*
         from horizon h left join lateral (",
        event!(
            "where (xid, id) > ($1::bigint::text::xid8, $2) and xid < h.xmin order by live_events.xid, id limit $3"
        ),
        ") as e on true order by e.event_xid, e.id"
    ))
    .bind(after.xid)
    .bind(after.id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Look {
        horizon: Cursor::before(first.try_get("horizon")?),
        is_held_up: first.try_get("is_held_up")?,
        events: events(&rows)?,
    })
}

/// What somebody has missed who was at `after`, up to and with `to`. None: some of it has been forgotten.
pub async fn missed(
    conn: &mut Conn,
    after: Cursor,
    to: Cursor,
    limit: i64,
) -> sqlx::Result<Option<Vec<EventRow>>> {
    let rows = sqlx::query(concat!(
        "select ($1::bigint::text::xid8, $2) < (f.xid, f.id) as is_forgotten, e.*
         from live_floor f left join lateral (",
        event!(
            "where (xid, id) > ($1::bigint::text::xid8, $2) and (xid, id) <= ($3::bigint::text::xid8, $4)
             order by live_events.xid, id limit $5"
        ),
        ") as e on true order by e.event_xid, e.id"
    ))
    .bind(after.xid)
    .bind(after.id)
    .bind(to.xid)
    .bind(to.id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    if first.try_get("is_forgotten")? {
        return Ok(None);
    }
    events(&rows).map(Some)
}
