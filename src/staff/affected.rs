//! What becomes of the visits of a doctor who goes away, for a while or for good: nobody loses one without being asked.

use chrono::{DateTime, Utc};
use poem_openapi::Enum;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::store;
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

/// A visit that would be left without its doctor.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
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

/// The visits of a doctor from an instant on, or up to another. The transaction holds the doctor's lock, so that none is
/// booked after this has been read.
pub async fn bookings_of(
    tx: &mut Tx,
    doctor: DoctorId,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<Booking>> {
    store::bookings(tx, doctor, from, to).await
}

/// `409 bookings-affected`, listing them.
pub fn bookings_affected(bookings: &[Booking]) -> Problem {
    let detail = match bookings.len() {
        1 => "this doctor has a visit then".to_owned(),
        n => format!("this doctor has {n} visits then"),
    };
    Problem::conflict("bookings-affected", format!("{detail}; say what becomes of them"))
        .with("bookings", json!(bookings))
}
