//! The sender's half of the outbox: claim rows with a lease, keep it, and what a delivery may come to (`recording.rs` writes it
//! down). Whoever comes late holds an old token, and changes nothing.

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
    /// Channels that will never take it.
    pub gave_up: Vec<String>,
    /// Channels that did not take it in time.
    pub passed: Vec<String>,
    /// Channels whose provider took it.
    pub accepted: Vec<String>,
    /// For how long the present channel has had its turn.
    pub turn_seconds: Option<f64>,
    /// Attempts of this generation: `<channel> <outcome> <seconds since it began>`; one without an outcome has `open`.
    pub tried: Vec<String>,
    /// What its patient agreed to, the newest first: `<kind> <channel or *> <granted>`.
    pub consents: Vec<String>,
    /// Channels that are known not to reach the addresses of its patient or user.
    pub unreachable: Vec<String>,
    /// The channels that its patient wants first.
    pub channel_order: Vec<String>,
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
    /// A provider took it, and says within that time whether it arrived; else it is the next channel's turn.
    Waits { channel: String, delay: Duration },
    /// It may work later. Too late for the message: it expires.
    RetryIn { delay: Duration, error: String },
    /// It will never work.
    Failed { error: String },
    /// It was nobody's message, and what it asked for is done.
    Done,
    /// Its time passed before it could be handed over.
    Expired,
    /// Nobody needs it any more, or there is no way to the person.
    Needless { why: String },
}

/// A call to a provider that has come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The attempt's number.
    pub n: i32,
    /// `accepted`, `retry` or `refused`.
    pub outcome: &'static str,
    pub provider_id: Option<String>,
    pub http: Option<i32>,
    /// The provider's own.
    pub code: Option<String>,
    /// Of the failure.
    pub class: Option<&'static str>,
    pub error: Option<String>,
}

/// All that one delivery brought, to be recorded in one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    pub delivery: Delivery,
    pub ended: Vec<Ended>,
    pub gave_up: Vec<String>,
    pub passed: Vec<String>,
    pub accepted: Vec<String>,
}

impl From<Delivery> for Handed {
    fn from(delivery: Delivery) -> Self {
        let none = Vec::new;
        Self { delivery, ended: Vec::new(), gave_up: none(), passed: none(), accepted: none() }
    }
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

/// What else a sender wants to know of a row that it claims, without asking again.
macro_rules! standing {
    () => {
        "extract(epoch from now() - o.turn_since)::float8 as turn_seconds,
         case when o.attempts = o.attempts_before then '{}' else array(
           select a.channel || ' ' || coalesce(a.outcome, 'open') || ' ' || extract(epoch from now() - a.started_at)::bigint
           from outbox_attempts a where a.outbox_id = o.id and a.n > o.attempts_before order by a.n) end as tried,
         array(select c.kind || ' ' || coalesce(c.channel, '*') || ' ' || c.granted from consents c
               where c.patient_id = o.patient_id order by c.at desc, c.id desc) as consents,
         array(select u.channel from unreachable_addresses u where u.until > now() and (
                 exists (select from patients p where p.id = o.patient_id and u.address = case u.channel when 'email' then lower(p.email) else p.phone end)
                 or exists (select from users s where s.id = o.user_id and u.address = case u.channel when 'email' then lower(s.email) else s.phone end))
              ) as unreachable,
         coalesce((select w.channel_order from preferences w join patients p on p.user_id = w.user_id
                   where p.id = o.patient_id), '{}') as channel_order"
    };
}

/// Claims up to `limit` due rows, codes first, then those longest due, for as long as `lasts`. Rows that another transaction is changing
/// are left to it.
pub async fn claim(
    clinic: impl PgExecutor<'_>,
    limit: i64,
    lasts: Duration,
) -> sqlx::Result<Claimed> {
    sqlx::query_as(concat!("with due as (
           select id, greatest(due_at, leased_until) as since from outbox
           where done_at is null and due_at <= now()
             and (leased_until is null or leased_until <= now())
           order by (purpose not like 'code.%'), due_at limit $1
           for update skip locked)
         update outbox o set
           status = case when accepted <> '{}' then status when expires_at > now() then 'sending' else 'expired' end,
           done_at = case when expires_at > now() then null else now() end,
           payload_cipher = case when expires_at > now() then payload_cipher end,
           leased_until = case when expires_at > now() then now() + make_interval(secs => $2) end,
           lease_token = lease_token + 1
         from due where o.id = due.id
         returning o.*, o.done_at is null as handed_out,
           extract(epoch from now() - due.since)::float8 as overdue_seconds, ", standing!()))
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
    sqlx::query_as(concat!("with due as (
           select id, greatest(due_at, leased_until) as since from outbox
           where id = $1 and done_at is null and due_at <= now()
             and (leased_until is null or leased_until <= now())
           for update skip locked)
         update outbox o set
           status = case when accepted <> '{}' then status when expires_at > now() then 'sending' else 'expired' end,
           done_at = case when expires_at > now() then null else now() end,
           payload_cipher = case when expires_at > now() then payload_cipher end,
           leased_until = case when expires_at > now() then now() + make_interval(secs => $2) end,
           lease_token = lease_token + 1
         from due where o.id = due.id
         returning o.*, o.done_at is null as handed_out,
           extract(epoch from now() - due.since)::float8 as overdue_seconds, ", standing!()))
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
