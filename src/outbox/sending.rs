//! The sender's half of the outbox: claim rows with a lease, record each call, end or put back. Whoever comes late
//! holds an old token, and changes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// A claimed row, in the hands of one sender.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OutboxRow {
    pub id: Uuid,
    /// Fences the sender's writes.
    pub lease_token: i64,
    pub purpose: String,
    pub dedupe_key: String,
    pub subject_id: Uuid,
    pub patient_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    pub payload_cipher: Option<Vec<u8>>,
    pub due_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub channel: Option<String>,
    /// Those it may go by; empty: as the clinic's policy says.
    pub channels: Vec<String>,
    /// How many attempts were started before.
    pub attempts: i32,
    /// How long it has waited beyond its time (or beyond the lease of a sender that died).
    pub overdue_seconds: f64,
}

/// What one claim brought.
#[derive(Debug, Default)]
pub struct Claimed {
    pub rows: Vec<OutboxRow>,
    /// Rows whose time had passed: marked so, and handed to nobody.
    pub expired: usize,
}

impl Claimed {
    /// Whether there was nothing due at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.expired == 0
    }
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A provider took it.
    Sent { channel: String },
    /// It may work later. Too late for the message: it expires.
    RetryIn { delay: Duration, error: String },
    /// It will never work.
    Failed { error: String },
    /// Its time passed before it could be handed over.
    Expired,
    /// Nobody needs it any more, or there is no way to the person.
    Needless { why: String },
}

/// What became of a row whose sender is finished with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    Done,
    /// It waits for its next try.
    WaitsAgain,
    /// It was withdrawn, moved or claimed by another meanwhile: the outcome changed nothing.
    NotOurs,
}

/// A row as `claim` and `claim_one` return it; `handed_out` is false for one that had expired.
#[derive(sqlx::FromRow)]
struct ClaimedRow {
    #[sqlx(flatten)]
    row: OutboxRow,
    handed_out: bool,
}

fn sort(claimed: Vec<ClaimedRow>) -> Claimed {
    let (alive, expired): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|row| row.handed_out);
    Claimed { rows: alive.into_iter().map(|row| row.row).collect(), expired: expired.len() }
}

/// Claims up to `limit` due rows, longest due first, for as long as `lasts`. Rows that another transaction is changing
/// are left to it.
pub async fn claim(
    clinic: impl PgExecutor<'_>,
    limit: i64,
    lasts: Duration,
) -> sqlx::Result<Claimed> {
    sqlx::query_as(
        "with due as (
           select id, greatest(due_at, leased_until) as since from outbox
           where done_at is null and due_at <= now()
             and (leased_until is null or leased_until <= now())
           order by due_at limit $1
           for update skip locked)
         update outbox o set
           status = case when expires_at > now() then 'sending' else 'expired' end,
           done_at = case when expires_at > now() then null else now() end,
           payload_cipher = case when expires_at > now() then payload_cipher end,
           leased_until = case when expires_at > now() then now() + make_interval(secs => $2) end,
           lease_token = lease_token + 1
         from due where o.id = due.id
         returning o.*, o.done_at is null as handed_out,
           extract(epoch from now() - due.since)::float8 as overdue_seconds",
    )
    .bind(limit)
    .bind(lasts.as_secs_f64())
    .fetch_all(clinic)
    .await
    .map(sort)
}

/// Claims one row, if it is due and free: right after its commit, and when its timer for another try rings.
pub async fn claim_one(
    clinic: impl PgExecutor<'_>,
    id: Uuid,
    lasts: Duration,
) -> sqlx::Result<Claimed> {
    sqlx::query_as(
        "with due as (
           select id, greatest(due_at, leased_until) as since from outbox
           where id = $1 and done_at is null and due_at <= now()
             and (leased_until is null or leased_until <= now())
           for update skip locked)
         update outbox o set
           status = case when expires_at > now() then 'sending' else 'expired' end,
           done_at = case when expires_at > now() then null else now() end,
           payload_cipher = case when expires_at > now() then payload_cipher end,
           leased_until = case when expires_at > now() then now() + make_interval(secs => $2) end,
           lease_token = lease_token + 1
         from due where o.id = due.id
         returning o.*, o.done_at is null as handed_out,
           extract(epoch from now() - due.since)::float8 as overdue_seconds",
    )
    .bind(id)
    .bind(lasts.as_secs_f64())
    .fetch_all(clinic)
    .await
    .map(sort)
}

/// Keeps a row for as long as `lasts` from now. False: it is not ours any more.
pub async fn extend_lease(
    clinic: impl PgExecutor<'_>,
    row: &OutboxRow,
    lasts: Duration,
) -> sqlx::Result<bool> {
    let kept = sqlx::query(
        "update outbox set leased_until = now() + make_interval(secs => $3)
         where id = $1 and lease_token = $2 and done_at is null and leased_until is not null",
    )
    .bind(row.id)
    .bind(row.lease_token)
    .bind(lasts.as_secs_f64())
    .execute(clinic)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Records, right before a provider is called, that it will be; returns the attempt's number. `None`: do not call, for
/// the row was withdrawn, moved, claimed by another or expired.
pub async fn start_attempt(
    clinic: impl PgExecutor<'_>,
    row: &OutboxRow,
    channel: &str,
    provider: &str,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar(
        "with held as (
           update outbox set attempts = attempts + 1, channel = $3
           where id = $1 and lease_token = $2 and done_at is null
             and leased_until > now() and expires_at > now()
           returning id, attempts)
         insert into outbox_attempts (outbox_id, n, channel, provider)
         select id, attempts, $3, $4 from held
         returning n",
    )
    .bind(row.id)
    .bind(row.lease_token)
    .bind(channel)
    .bind(provider)
    .fetch_optional(clinic)
    .await
}

/// How a provider's call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    Accepted { provider_id: Option<String> },
    Retry { error: String },
    Refused { error: String },
}

/// Records what a call brought. Not fenced: it happened, whoever owns the row by now.
pub async fn end_attempt(
    clinic: impl PgExecutor<'_>,
    outbox_id: Uuid,
    n: i32,
    attempt: &Attempt,
) -> sqlx::Result<()> {
    let (outcome, provider_id, error) = match attempt {
        Attempt::Accepted { provider_id } => ("accepted", provider_id.as_deref(), None),
        Attempt::Retry { error } => ("retry", None, Some(error.as_str())),
        Attempt::Refused { error } => ("refused", None, Some(error.as_str())),
    };
    sqlx::query(
        "update outbox_attempts set
           ended_at = clock_timestamp(), outcome = $3, provider_id = $4, error = $5
         where outbox_id = $1 and n = $2",
    )
    .bind(outbox_id)
    .bind(n)
    .bind(outcome)
    .bind(provider_id)
    .bind(error)
    .execute(clinic)
    .await?;
    Ok(())
}

/// Ends a sender's work on a row.
pub async fn finish(
    clinic: impl PgExecutor<'_>,
    row: &OutboxRow,
    delivery: &Delivery,
) -> sqlx::Result<Finished> {
    let done = match delivery {
        Delivery::Sent { channel } => {
            end(clinic, row, "sent", Some(channel.as_str()), None).await?
        }
        Delivery::Failed { error } => end(clinic, row, "failed", None, Some(error)).await?,
        Delivery::Needless { why } => end(clinic, row, "suppressed", None, Some(why)).await?,
        Delivery::Expired => end(clinic, row, "expired", None, None).await?,
        Delivery::RetryIn { delay, error } => put_back(clinic, row, *delay, error).await?,
    };
    Ok(match done {
        Some(true) => Finished::Done,
        Some(false) => Finished::WaitsAgain,
        None => Finished::NotOurs,
    })
}

async fn end(
    clinic: impl PgExecutor<'_>,
    row: &OutboxRow,
    status: &str,
    channel: Option<&str>,
    error: Option<&str>,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar(
        "update outbox set
           status = $3, channel = coalesce($4, channel), last_error = coalesce($5, last_error),
           done_at = now(), payload_cipher = null, leased_until = null
         where id = $1 and lease_token = $2 and done_at is null
         returning true",
    )
    .bind(row.id)
    .bind(row.lease_token)
    .bind(status)
    .bind(channel)
    .bind(error)
    .fetch_optional(clinic)
    .await
}

/// For another try; or, if that would come too late, for none.
async fn put_back(
    clinic: impl PgExecutor<'_>,
    row: &OutboxRow,
    delay: Duration,
    error: &str,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar(
        "with next as (select now() + make_interval(secs => $3) as due_at)
         update outbox o set
           status = case when next.due_at < expires_at then 'queued' else 'expired' end,
           done_at = case when next.due_at < expires_at then null else now() end,
           payload_cipher = case when next.due_at < expires_at then payload_cipher end,
           due_at = case when next.due_at < expires_at then next.due_at else o.due_at end,
           leased_until = null, lease_token = lease_token + 1, last_error = $4
         from next
         where id = $1 and lease_token = $2 and done_at is null
         returning done_at is not null",
    )
    .bind(row.id)
    .bind(row.lease_token)
    .bind(delay.as_secs_f64())
    .bind(error)
    .fetch_optional(clinic)
    .await
}
