//! The row of a change, in the change's own transaction.

use serde_json::{Value, json};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Actor;
use crate::db::Tx;

/// What was done to what.
pub struct Act {
    /// Past tense: `appointment.booked`.
    pub action: &'static str,
    /// The table's row, in the singular: `appointment`.
    pub entity: &'static str,
    pub entity_id: Option<Uuid>,
    /// The patient whom it concerns (on the platform: the clinic).
    pub about_id: Option<Uuid>,
    /// What changed, never a secret.
    pub details: Value,
}

impl Act {
    pub fn new(action: &'static str, entity: &'static str, id: impl Into<Uuid>) -> Self {
        Self { action, entity, entity_id: Some(id.into()), about_id: None, details: json!({}) }
    }

    /// Of something that may have no id.
    pub fn unknown(action: &'static str, entity: &'static str) -> Self {
        Self { action, entity, entity_id: None, about_id: None, details: json!({}) }
    }

    pub fn about(mut self, id: impl Into<Uuid>) -> Self {
        self.about_id = Some(id.into());
        self
    }

    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Adds the row of a change to its own transaction.
///
/// # Errors
/// The database's; the change then does not commit either.
pub async fn record(tx: &mut Tx, act: Act) -> sqlx::Result<()> {
    let actor = tx.actor().clone();
    record_as(&mut **tx, actor, act).await?;
    tx.note_audit();
    Ok(())
}

/// As [`record`], where there is no clinic at work yet whose transaction it could be.
pub async fn record_as(conn: impl PgExecutor<'_>, actor: Actor, act: Act) -> sqlx::Result<()> {
    sqlx::query(
        "insert into audit_log
           (request_id, account_id, role, session_id, address, action, entity, entity_id, about_id, details)
         values ($1, $2, $3, $4, $5::inet, $6, $7, $8, $9, $10)",
    )
    .bind(actor.request_id)
    .bind(actor.account)
    .bind(actor.role)
    .bind(actor.session)
    .bind(actor.address.map(|address| address.to_string()))
    .bind(act.action)
    .bind(act.entity)
    .bind(act.entity_id)
    .bind(act.about_id)
    .bind(act.details)
    .execute(conn)
    .await
    .map(drop)
}
