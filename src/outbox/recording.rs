//! What senders put on record: that a provider is about to be called, and what came of it; for one row, or for many in one
//! statement. Every write is fenced by the row's claim.

use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

use super::sending::{Delivery, Finished, Handed, OutboxRow};

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
            Delivery::Done => ("sent", None, None, None),
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
