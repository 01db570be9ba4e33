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

/// What is recorded right before a provider is called.
#[derive(Clone, Debug)]
pub struct Start {
    pub id: Uuid,
    pub lease_token: i64,
    pub channel: &'static str,
    pub provider: &'static str,
    /// What other channels brought before: whoever has to go on after a crash goes on there.
    pub before: Handed,
}

/// What is recorded when a sender is finished with a row.
#[derive(Clone, Debug)]
pub struct End {
    pub id: Uuid,
    pub lease_token: i64,
    pub handed: Handed,
}

impl End {
    pub fn of(row: &OutboxRow, handed: &Handed) -> Self {
        Self { id: row.id, lease_token: row.lease_token, handed: handed.clone() }
    }

    /// What the row becomes, by which channel, why; if it goes on, after how long.
    fn fate(&self) -> (&'static str, Option<&str>, Option<&str>, Option<Duration>) {
        match &self.handed.delivery {
            Delivery::Sent { channel } => ("sent", Some(channel), None, None),
            Delivery::Waits { channel, delay } => ("sent", Some(channel), None, Some(*delay)),
            Delivery::Failed { error } => ("failed", None, Some(error), None),
            Delivery::Needless { why } => ("suppressed", None, Some(why), None),
            Delivery::Expired => ("expired", None, None, None),
            Delivery::RetryIn { delay, error } => ("queued", None, Some(error), Some(*delay)),
        }
    }
}

/// Calls that have ended, column by column. Their ends are not fenced: they happened, whoever owns the row by now.
#[derive(Default)]
struct Calls {
    ids: Vec<Uuid>,
    ns: Vec<i32>,
    outcomes: Vec<&'static str>,
    provider_ids: Vec<Option<String>>,
    https: Vec<Option<i32>>,
    codes: Vec<Option<String>>,
    classes: Vec<Option<&'static str>>,
    errors: Vec<Option<String>>,
}

impl Calls {
    fn of<'a>(all: impl Iterator<Item = (Uuid, &'a Handed)>) -> Self {
        let mut calls = Self::default();
        for (id, handed) in all {
            for ended in &handed.ended {
                calls.ids.push(id);
                calls.ns.push(ended.n);
                calls.outcomes.push(ended.outcome);
                calls.provider_ids.push(ended.provider_id.clone());
                calls.https.push(ended.http);
                calls.codes.push(ended.code.clone());
                calls.classes.push(ended.class);
                calls.errors.push(ended.error.clone());
            }
        }
        calls
    }
}

/// Channels, as one value of an array.
fn joined(channels: &[String]) -> String {
    channels.join(" ")
}

/// Whether a statement waits for rows that another transaction is changing. One about many rows never does: it would keep those
/// that are free waiting, and could wait in a circle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locked {
    WaitedFor,
    LeftOut,
}

macro_rules! start_sql {
    ($locked:literal) => {
        concat!(
            "with asked as (
               select id, lease_token, channel, provider, string_to_array(gave_up, ' ') as gave_up,
                      string_to_array(passed, ' ') as passed, string_to_array(accepted, ' ') as accepted, place
               from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
                 with ordinality as a (id, lease_token, channel, provider, gave_up, passed, accepted, place)),
             ended as (
               update outbox_attempts t set
                 ended_at = clock_timestamp(), outcome = e.outcome, provider_id = e.provider_id, http = e.http,
                 code = e.code, class = e.class, error = e.error
               from unnest($8::uuid[], $9::int[], $10::text[], $11::text[], $12::int[], $13::text[], $14::text[], $15::text[])
                 as e (id, n, outcome, provider_id, http, code, class, error)
               where t.outbox_id = e.id and t.n = e.n),
             ours as (
               select a.* from asked a join outbox o on o.id = a.id and o.lease_token = a.lease_token
               where o.done_at is null and o.leased_until > now() and o.expires_at > now()
               for update of o ", $locked, "),
             held as (
               update outbox o set
                 attempts = o.attempts + 1, channel = a.channel,
                 gave_up = a.gave_up, passed = a.passed, accepted = a.accepted,
                 turn_since = case when o.channel = a.channel and o.turn_since is not null then o.turn_since else now() end
               from ours a
               where o.id = a.id and o.lease_token = a.lease_token and o.done_at is null
                 and o.leased_until > now() and o.expires_at > now()
               returning o.id, o.attempts, a.channel, a.provider, a.place),
             begun as (
               insert into outbox_attempts (outbox_id, n, channel, provider)
               select id, attempts, channel, provider from held)
             select place, attempts from held"
        )
    };
}

/// Puts attempts on record; the number of each, by its place. Those that are not there are not to be called.
async fn put_on_record(
    clinic: impl PgExecutor<'_>,
    starts: &[Start],
    locked: Locked,
) -> sqlx::Result<Vec<(i64, i32)>> {
    let calls = Calls::of(starts.iter().map(|start| (start.id, &start.before)));
    let column = |of: fn(&Start) -> String| starts.iter().map(of).collect::<Vec<_>>();
    sqlx::query_as(match locked {
        Locked::WaitedFor => start_sql!(""),
        Locked::LeftOut => start_sql!("skip locked"),
    })
    .bind(starts.iter().map(|start| start.id).collect::<Vec<_>>())
    .bind(starts.iter().map(|start| start.lease_token).collect::<Vec<_>>())
    .bind(starts.iter().map(|start| start.channel).collect::<Vec<_>>())
    .bind(starts.iter().map(|start| start.provider).collect::<Vec<_>>())
    .bind(column(|start| joined(&start.before.gave_up)))
    .bind(column(|start| joined(&start.before.passed)))
    .bind(column(|start| joined(&start.before.accepted)))
    .bind(calls.ids)
    .bind(calls.ns)
    .bind(calls.outcomes)
    .bind(calls.provider_ids)
    .bind(calls.https)
    .bind(calls.codes)
    .bind(calls.classes)
    .bind(calls.errors)
    .fetch_all(clinic)
    .await
}

/// Records, right before a provider is called, that it will be; returns the attempt's number. `None`: do not call, for
/// the row was withdrawn, moved, claimed by another or expired.
pub async fn start(clinic: impl PgExecutor<'_>, start: &Start) -> sqlx::Result<Option<i32>> {
    let started = put_on_record(clinic, std::slice::from_ref(start), Locked::WaitedFor).await?;
    Ok(started.first().map(|(_, n)| *n))
}

/// As [`start`], for many rows at once: the number of each in its place. `None`: somebody changes the row just now, or it is not
/// ours any more; ask for it alone.
pub async fn start_all(
    clinic: impl PgExecutor<'_>,
    starts: &[Start],
) -> sqlx::Result<Vec<Option<i32>>> {
    let begun = put_on_record(clinic, starts, Locked::LeftOut).await?;
    Ok(in_place(starts.len(), begun))
}

/// What was found, each in the place that it was asked for.
fn in_place<T>(count: usize, found: Vec<(i64, T)>) -> Vec<Option<T>> {
    let mut all: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
    for (place, one) in found {
        all[place as usize - 1] = Some(one);
    }
    all
}

macro_rules! finish_sql {
    ($locked:literal) => {
        concat!(
            "with asked as (
               select id, lease_token, status, channel, error, now() + make_interval(secs => delay) as next_due,
                      string_to_array(gave_up, ' ') as gave_up, string_to_array(passed, ' ') as passed,
                      string_to_array(accepted, ' ') as accepted, error_class, place
               from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[], $8::text[],
                           $9::text[], $10::text[])
                 with ordinality as a (id, lease_token, status, channel, error, delay, gave_up, passed, accepted,
                                       error_class, place)),
             ended as (
               update outbox_attempts t set
                 ended_at = clock_timestamp(), outcome = e.outcome, provider_id = e.provider_id, http = e.http,
                 code = e.code, class = e.class, error = e.error
               from unnest($11::uuid[], $12::int[], $13::text[], $14::text[], $15::int[], $16::text[], $17::text[], $18::text[])
                 as e (id, n, outcome, provider_id, http, code, class, error)
               where t.outbox_id = e.id and t.n = e.n),
             ours as (
               select a.* from asked a join outbox o on o.id = a.id and o.lease_token = a.lease_token
               where o.done_at is null
               for update of o ", $locked, ")
             update outbox o set
               status = case when a.next_due >= o.expires_at and a.status = 'queued'
                               then case when a.accepted <> '{}' then 'sent' else 'expired' end
                             when a.status = 'queued' and a.accepted <> '{}' then 'sent'
                             when o.status in ('delivered', 'read') then o.status
                             else a.status end,
               channel = coalesce(a.channel, o.channel), last_error = coalesce(a.error, o.last_error),
               error_class = coalesce(a.error_class, o.error_class),
               done_at = case when a.next_due < o.expires_at then null else now() end,
               payload_cipher = case when a.next_due < o.expires_at then o.payload_cipher end,
               due_at = case when a.next_due < o.expires_at then a.next_due else o.due_at end,
               turn_since = case when o.gave_up || o.passed = a.gave_up || a.passed then o.turn_since end,
               gave_up = a.gave_up, passed = a.passed, accepted = a.accepted,
               leased_until = null,
               lease_token = case when a.next_due < o.expires_at then o.lease_token + 1 else o.lease_token end
             from ours a
             where o.id = a.id and o.lease_token = a.lease_token and o.done_at is null
             returning a.place, o.done_at is not null"
        )
    };
}

/// Ends senders' work on their rows: whether each is done, by its place. Those that are not there were not theirs.
async fn put_away(
    clinic: impl PgExecutor<'_>,
    ends: &[End],
    locked: Locked,
) -> sqlx::Result<Vec<(i64, bool)>> {
    let calls = Calls::of(ends.iter().map(|end| (end.id, &end.handed)));
    let fates: Vec<_> = ends.iter().map(End::fate).collect();
    let class = |end: &End| end.handed.ended.last().and_then(|ended| ended.class);
    let column = |of: fn(&Handed) -> &[String]| {
        ends.iter().map(|end| joined(of(&end.handed))).collect::<Vec<_>>()
    };
    sqlx::query_as(match locked {
        Locked::WaitedFor => finish_sql!(""),
        Locked::LeftOut => finish_sql!("skip locked"),
    })
    .bind(ends.iter().map(|end| end.id).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.lease_token).collect::<Vec<_>>())
    .bind(fates.iter().map(|(status, ..)| *status).collect::<Vec<_>>())
    .bind(fates.iter().map(|(_, channel, ..)| *channel).collect::<Vec<_>>())
    .bind(fates.iter().map(|(_, _, error, _)| *error).collect::<Vec<_>>())
    .bind(
        fates.iter().map(|(.., delay)| delay.map(|delay| delay.as_secs_f64())).collect::<Vec<_>>(),
    )
    .bind(column(|handed| &handed.gave_up))
    .bind(column(|handed| &handed.passed))
    .bind(column(|handed| &handed.accepted))
    .bind(ends.iter().map(class).collect::<Vec<_>>())
    .bind(calls.ids)
    .bind(calls.ns)
    .bind(calls.outcomes)
    .bind(calls.provider_ids)
    .bind(calls.https)
    .bind(calls.codes)
    .bind(calls.classes)
    .bind(calls.errors)
    .fetch_all(clinic)
    .await
}

fn finished(done: bool) -> Finished {
    if done { Finished::Done } else { Finished::WaitsAgain }
}

/// Records what a delivery brought, and ends the sender's work on its row, in one statement.
pub async fn finish(clinic: impl PgExecutor<'_>, end: &End) -> sqlx::Result<Finished> {
    let away = put_away(clinic, std::slice::from_ref(end), Locked::WaitedFor).await?;
    Ok(away.first().map_or(Finished::NotOurs, |(_, done)| finished(*done)))
}

/// As [`finish`], for many rows at once: the answer to each in its place. `None`: somebody changes the row just now, or it is not
/// ours any more; ask for it alone.
pub async fn finish_all(
    clinic: impl PgExecutor<'_>,
    ends: &[End],
) -> sqlx::Result<Vec<Option<Finished>>> {
    let away = put_away(clinic, ends, Locked::LeftOut).await?;
    let away = away.into_iter().map(|(place, done)| (place, finished(done))).collect();
    Ok(in_place(ends.len(), away))
}
