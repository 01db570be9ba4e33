//! Who hears of a change, in the change's own transaction: the patient by a message, and those who watch the book.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::model::{AppointmentView, Event};
use crate::db::Tx;
use crate::ids::MessageId;
use crate::live;
use crate::outbox::{self, NewMessage};

/// Puts the message of a change that has been made. Of what is over by now nobody needs to hear.
pub(super) async fn tell(
    tx: &mut Tx,
    event: Event,
    visit: &AppointmentView,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let now = tx.now();
    if expires_at <= now {
        return Ok(());
    }
    let message = NewMessage {
        purpose: event.purpose().to_owned(),
        dedupe_key: format!("{}:{}:{}", event.purpose(), visit.id, visit.version),
        subject_id: visit.id.0,
        patient_id: Some(visit.patient_id.0),
        user_id: None,
        payload_cipher: None,
        channels: Vec::new(),
        due_at: now,
        expires_at,
    };
    if let Some(id) = outbox::put(&mut **tx, &message).await? {
        tx.note_message(MessageId(id));
    }
    Ok(())
}

/// Shows a change to those who watch: before claims are given back, so that whoever had one hears of it. `also` are those whom
/// the visit claims next.
pub(super) async fn show(
    tx: &mut Tx,
    kind: &'static str,
    visit: &AppointmentView,
    also: &[Uuid],
) -> sqlx::Result<()> {
    let event = live::Event {
        kind,
        appointment_id: Some(visit.id),
        doctor_id: Some(visit.doctor_id),
        patient_id: Some(visit.patient_id),
        location_id: Some(visit.location_id),
        also,
        details: json!({ "status": visit.status }),
    };
    live::note(tx, event).await
}
