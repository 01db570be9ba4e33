//! What the patient hears of a change: a message in the change's own transaction.

use chrono::{DateTime, Utc};

use super::model::{AppointmentView, Event};
use crate::db::Tx;
use crate::ids::MessageId;
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
