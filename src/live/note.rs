//! The writing half: one row for each change, in its own transaction.

use serde_json::Value;
use uuid::Uuid;

use crate::db::Tx;
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};

/// Something that changed: ids, and no more than anybody may know who may see the visit.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    /// What it is about, and what happened to it: `appointment.moved`. Any slice may have its own.
    pub kind: &'a str,
    pub appointment_id: Option<AppointmentId>,
    pub doctor_id: Option<DoctorId>,
    pub patient_id: Option<PatientId>,
    pub location_id: Option<LocationId>,
    /// Whom the visit takes from now on, beside those whom it claims as this is written.
    pub also: &'a [Uuid],
    /// A small object; nothing personal.
    pub details: Value,
}

/// Tells those who watch, once the transaction commits. To be called before claims are given back: a therapist sees what
/// claims him, and hears that it no longer does.
pub async fn note(tx: &mut Tx, event: Event<'_>) -> sqlx::Result<()> {
    tx.note_news();
    let details =
        if event.details.is_null() { Value::Object(Default::default()) } else { event.details };
    sqlx::query(
        "insert into live_events (kind, appointment_id, doctor_id, patient_id, location_id, subjects, details)
         values ($1, $2, $3, $4, $5,
                 array(select subject_id from claims where appointment_id = $2 union select unnest($6::uuid[])), $7)",
    )
    .bind(event.kind)
    .bind(event.appointment_id)
    .bind(event.doctor_id)
    .bind(event.patient_id)
    .bind(event.location_id)
    .bind(event.also)
    .bind(details)
    .execute(&mut **tx)
    .await
    .map(drop)
}
