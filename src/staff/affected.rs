//! What becomes of visits whose doctor goes away, for a while or for good, or whose place is closed: nobody loses one without being
//! asked.

use chrono::{DateTime, Utc};
use poem_openapi::Enum;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::store;
use crate::audit::Seen;
use crate::auth::{May, Permission};
use crate::db::Tx;
use crate::error::Problem;
use crate::ids::{AppointmentId, DoctorId, PatientId};
use crate::time::shown;

/// What becomes of them. (Cancelling and moving them all in one step is not offered yet, and so is refused.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Resolve {
    /// They stand: somebody sees to them one by one.
    Keep,
}

/// A visit that would be left without its doctor, or its place.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct Booking {
    pub id: AppointmentId,
    pub number: String,
    pub patient_id: PatientId,
    pub patient_name: String,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
}

/// How many of them are shown at most.
pub const MOST_SHOWN: i64 = 200;

/// The visits that are in the way: the first of them, by time, and how many there are.
#[derive(Debug, Default)]
pub struct Affected {
    pub bookings: Vec<Booking>,
    pub total: i64,
}

impl Affected {
    /// Of rows that say beside a booking how many there are of it (`total`).
    pub fn of_rows(rows: &[PgRow]) -> sqlx::Result<Self> {
        let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
        Ok(Self { bookings: rows.iter().map(Booking::from_row).collect::<Result<_, _>>()?, total })
    }
}

/// The visits of a doctor from an instant on, or up to another. The transaction holds the doctor's lock, so that none is
/// booked after this has been read.
pub async fn bookings_of(
    tx: &mut Tx,
    doctor: DoctorId,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
) -> sqlx::Result<Affected> {
    store::bookings(tx, doctor, from, to).await
}

/// `409 bookings-affected`, showing them: whose they are is personal, so who sees them is on record. Ends the transaction; nothing
/// of it stays.
pub async fn bookings_affected<P: Permission>(
    tx: Tx,
    who: &May<P>,
    affected: &Affected,
) -> Problem {
    if let Err(error) = tx.rollback().await {
        return error.into();
    }
    let seen = Seen::list("appointment", &affected.bookings, |booking| booking.id.0);
    if let Err(problem) = who.saw(seen).await {
        return problem;
    }
    in_the_way(affected).with("bookings", json!(affected.bookings))
}

/// Of them no more than how many there are.
pub(super) fn in_the_way(affected: &Affected) -> Problem {
    let detail = match affected.total {
        1 => "there is a visit then".to_owned(),
        n => format!("there are {n} visits then"),
    };
    Problem::conflict("bookings-affected", format!("{detail}; say what becomes of them"))
        .with("total", affected.total)
}
