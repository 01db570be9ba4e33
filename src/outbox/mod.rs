//! A clinic's outbox: messages that commit with the change that causes them. A row is an intent; who gets it, and how,
//! is decided when it is sent. Each write of a sender is fenced by the token of its claim, so that one who comes late
//! changes nothing. How workers learn of rows: docs/architecture.md, the ledger.
//!
//! Whoever puts a row, or makes one effective earlier, first takes the gate, then hints, and commits when the hint was
//! answered. The clinic's transaction type does both; nothing here may be called outside of it by one who changes rows.

mod recording;
mod sending;
mod together;

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::ids::AccountId;

pub use recording::{End, Start, finish, finish_all, start, start_all};
pub use sending::{
    Claimed, Delivery, Ended, Finished, Handed, OutboxRow, claim, claim_one, extend_lease,
};
pub use together::{Together, Turns};

/// G1: enters the gate until the transaction ends. Never inside a savepoint: rolling back to it would leave the gate,
/// and the hint would then be older than what it is about.
pub const GATE: &str = "select pg_advisory_xact_lock_shared(1851876457, 1)";

/// What to tell, and whom it concerns.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub purpose: String,
    /// One message for each key: putting it again changes nothing, unless it was withdrawn meanwhile.
    pub dedupe_key: String,
    /// What it is about. It is withdrawn with it.
    pub subject_id: Uuid,
    pub patient_id: Option<Uuid>,
    /// For staff: whom it is for.
    pub user_id: Option<Uuid>,
    /// Encrypted; wiped once the message is done.
    pub payload_cipher: Option<Vec<u8>>,
    /// By which channels it may go, in this order; empty: as the clinic's policy says.
    pub channels: Vec<String>,
    pub due_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Where an outbox row's secret is bound to: its key, which is known before the row is.
pub fn payload_place(dedupe_key: &str) -> String {
    format!("outbox.payload:{dedupe_key}")
}

/// Puts a message, or returns `None` because there is one of that key already. One that was withdrawn lives again.
pub async fn put(tx: impl PgExecutor<'_>, message: &NewMessage) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar(
        "insert into outbox as o (id, purpose, dedupe_key, subject_id, patient_id, user_id,
                                  payload_cipher, due_at, expires_at, channels)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (dedupe_key) do update set
           status = 'queued', done_at = null, leased_until = null, last_error = null,
           lease_token = o.lease_token + 1, payload_cipher = excluded.payload_cipher,
           due_at = excluded.due_at, expires_at = excluded.expires_at, channels = excluded.channels,
           gave_up = '{}', passed = '{}', accepted = '{}', turn_since = null, attempts_before = o.attempts
         where o.status = 'suppressed'
         returning id",
    )
    .bind(crate::ids::new_uuid())
    .bind(&message.purpose)
    .bind(&message.dedupe_key)
    .bind(message.subject_id)
    .bind(message.patient_id)
    .bind(message.user_id)
    .bind(&message.payload_cipher)
    .bind(message.due_at)
    .bind(message.expires_at)
    .bind(&message.channels)
    .fetch_optional(tx)
    .await
}

/// Says for whom a message is, once that is known: its row was put without looking anybody up.
pub async fn address(tx: impl PgExecutor<'_>, id: Uuid, account: AccountId) -> sqlx::Result<()> {
    sqlx::query("update outbox set user_id = $2 where id = $1")
        .bind(id)
        .bind(account)
        .execute(tx)
        .await
        .map(drop)
}

/// Withdraws whatever is not done yet about a subject. No gate, no hint: there is less to do than was thought.
pub async fn withdraw(tx: impl PgExecutor<'_>, subject_id: Uuid) -> sqlx::Result<u64> {
    let withdrawn = sqlx::query(
        "update outbox set
           status = 'suppressed', done_at = now(), payload_cipher = null,
           leased_until = null, lease_token = lease_token + 1
         where subject_id = $1 and done_at is null",
    )
    .bind(subject_id)
    .execute(tx)
    .await?;
    Ok(withdrawn.rows_affected())
}

// ── for the worker that looks after the clinic ──

/// G2: is nobody inside the gate? A statement and transaction of its own, never together with `next`.
pub async fn gate_is_free(clinic: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(1851876457, 1)").fetch_one(clinic).await
}

/// When the clinic's next row is effective, on the clinic's own clock.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    due_in: TimeDelta,
    asked_at: Instant,
}

impl Next {
    /// How long it still is, counted from now: a worker that was paused since it asked must not count that pause twice.
    /// What is past is negative.
    pub fn from_now(&self) -> TimeDelta {
        let passed = TimeDelta::from_std(self.asked_at.elapsed()).unwrap_or(TimeDelta::MAX);
        self.due_in.checked_sub(&passed).unwrap_or(TimeDelta::zero())
    }
}

/// N: when is the next row effective? After G2, never before. Rows that are leased count with their lease's end: their
/// senders may die.
pub async fn next(clinic: impl PgExecutor<'_>) -> sqlx::Result<Option<Next>> {
    let asked_at = Instant::now();
    let microseconds: Option<i64> = sqlx::query_scalar(
        "select (extract(epoch from least(
           (select min(due_at) from outbox where done_at is null and leased_until is null),
           (select min(greatest(due_at, leased_until)) from outbox
            where done_at is null and leased_until is not null)) - clock_timestamp()) * 1000000)::bigint",
    )
    .fetch_one(clinic)
    .await?;
    Ok(microseconds.map(|due_in| Next { due_in: TimeDelta::microseconds(due_in), asked_at }))
}
