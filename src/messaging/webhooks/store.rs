//! SQL of what providers tell us.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::event::Event;
use crate::db::Tx;
use crate::ids::{MessageId, PatientId};
use crate::messaging::channels::{Channel, Reported};
use crate::messaging::consents::ConsentKind;
use crate::tenancy::pools::Conn;

/// Keeps events; gives the keys of those that were not there. In order of the keys: two deliveries of the same news wait for each
/// other, and never both.
pub async fn keep(
    tx: &mut Tx,
    provider: &str,
    keys: &[String],
    bodies: &[Vec<u8>],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "insert into inbound_events (provider, event_key, body_cipher)
         select $1, event_key, body_cipher from unnest($2::text[], $3::bytea[]) as e (event_key, body_cipher)
         order by event_key on conflict do nothing returning event_key",
    )
    .bind(provider)
    .bind(keys)
    .bind(bodies)
    .fetch_all(&mut **tx)
    .await
}

/// An event that nobody has worked on, or that came before what it is about.
#[derive(sqlx::FromRow)]
pub struct Open {
    pub provider: String,
    pub event_key: String,
    pub body_cipher: Vec<u8>,
    received_at: DateTime<Utc>,
    /// What it is about would have come by now.
    pub is_old: bool,
}

/// So many events of one statement.
pub const PAGE: usize = 200;

/// The open events that came after another, the oldest first. Whoever reads on to the end passes over none, however many
/// there are about nothing.
pub async fn open(conn: &mut Conn, after: Option<&Open>) -> sqlx::Result<Vec<Open>> {
    let (at, provider, key) = after.map_or((DateTime::UNIX_EPOCH, "", ""), |last| {
        (last.received_at, last.provider.as_str(), last.event_key.as_str())
    });
    sqlx::query_as(
        "select provider, event_key, body_cipher, received_at,
                received_at < now() - interval '1 hour' as is_old
         from inbound_events
         where handled_at is null and handled_as is null
           and received_at >= $1 and (received_at, provider, event_key) > ($1, $2, $3)
         order by received_at, provider, event_key limit $4",
    )
    .bind(at)
    .bind(provider)
    .bind(key)
    .bind(PAGE as i64)
    .fetch_all(conn)
    .await
}

/// What came of an event. Without a time it waits for somebody who can do more.
pub async fn handled(
    executor: impl PgExecutor<'_>,
    provider: &str,
    key: &str,
    done: bool,
    as_what: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "update inbound_events set handled_at = case when $3 then now() end, handled_as = $4
         where provider = $1 and event_key = $2",
    )
    .bind(provider)
    .bind(key)
    .bind(done)
    .bind(as_what)
    .execute(executor)
    .await
    .map(drop)
}

/// Locks one that nobody has worked on yet.
pub async fn lock(tx: &mut Tx, provider: &str, key: &str) -> sqlx::Result<bool> {
    let locked: Option<i32> = sqlx::query_scalar(
        "select 1 from inbound_events
         where provider = $1 and event_key = $2 and handled_at is null and handled_as is null for update",
    )
    .bind(provider)
    .bind(key)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(locked.is_some())
}

/// News that nothing was found for while it could have been.
pub async fn give_up(conn: &mut Conn, provider: &str, key: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update inbound_events set handled_at = now(), handled_as = 'about nothing of ours'
         where provider = $1 and event_key = $2 and handled_at is null and handled_as is null",
    )
    .bind(provider)
    .bind(key)
    .execute(conn)
    .await
    .map(drop)
}

/// Whether there is what an event is about.
pub async fn is_known(conn: &mut Conn, provider: &str, event: &Event) -> sqlx::Result<bool> {
    match event {
        Event::Receipt { provider_id, .. } => sqlx::query_scalar(
            "select exists(select from outbox_attempts where provider = $1 and provider_id = $2)",
        )
        .bind(provider)
        .bind(provider_id)
        .fetch_one(conn)
        .await,
        Event::Returned { message, .. } => sqlx::query_scalar(
            "select exists(select from outbox_attempts where outbox_id = $1 and channel = 'email')",
        )
        .bind(message)
        .fetch_one(conn)
        .await,
        _ => Ok(true),
    }
}

/// A call that a report is about.
#[derive(sqlx::FromRow)]
pub struct Attempt {
    /// Its message.
    pub id: Uuid,
    pub n: i32,
    pub channel: String,
    /// What was reported of it so far.
    pub status: Option<Reported>,
    /// The recipient's number as it is known now.
    pub phone: Option<String>,
}

/// The attempt that a provider's id names. No other report changes it until this transaction ends.
pub async fn attempt(
    tx: &mut Tx,
    provider: &str,
    provider_id: &str,
) -> sqlx::Result<Option<Attempt>> {
    sqlx::query_as(
        "select a.outbox_id as id, a.n, a.channel, a.status,
                coalesce((select p.phone from patients p where p.id = o.patient_id),
                         (select u.phone from users u where u.id = o.user_id)) as phone
         from outbox_attempts a join outbox o on o.id = a.outbox_id
         where a.provider = $1 and a.provider_id = $2 order by a.n desc limit 1 for update of a",
    )
    .bind(provider)
    .bind(provider_id)
    .fetch_optional(&mut **tx)
    .await
}

/// The newest letter of a message: its attempt, and what was reported of it so far; locked as [`attempt`]'s.
pub async fn letter(
    tx: &mut Tx,
    message: MessageId,
) -> sqlx::Result<Option<(i32, Option<Reported>)>> {
    sqlx::query_as(
        "select n, status from outbox_attempts
         where outbox_id = $1 and channel = 'email' order by n desc limit 1 for update",
    )
    .bind(message)
    .fetch_optional(&mut **tx)
    .await
}

/// To whom a message goes by e-mail, as it is known now.
pub async fn email_of(conn: &mut Conn, message: MessageId) -> sqlx::Result<Option<String>> {
    let email: Option<Option<String>> = sqlx::query_scalar(
        "select coalesce((select p.email from patients p where p.id = o.patient_id),
                         (select u.email from users u where u.id = o.user_id))
         from outbox o where o.id = $1",
    )
    .bind(message)
    .fetch_optional(conn)
    .await?;
    Ok(email.flatten())
}

/// A letter that an address did not take this time. With the third of a week it is left alone for a month.
pub async fn count_return(tx: &mut Tx, message: MessageId, address: &str) -> sqlx::Result<()> {
    // Whoever adds one clears away those that count no more.
    sqlx::query("delete from returned_letters where returned_at < now() - interval '7 days'")
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into returned_letters (address, outbox_id) values (lower($1), $2) on conflict do nothing",
    )
    .bind(address)
    .bind(message)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into unreachable_addresses (channel, address, reason, until)
         select 'email', lower($1), 'three letters came back in a week', now() + interval '30 days'
         where (select count(*) from returned_letters
                where address = lower($1) and returned_at > now() - interval '7 days') >= 3
         on conflict (channel, address) do update set
           reason = excluded.reason, until = greatest(unreachable_addresses.until, excluded.until)",
    )
    .bind(address)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn report(
    tx: &mut Tx,
    outbox_id: Uuid,
    n: i32,
    status: Reported,
    event: &Event,
) -> sqlx::Result<()> {
    let (code, class, error) = match event {
        Event::Receipt { code, class, error, .. } => (code.clone(), class.clone(), error.clone()),
        Event::Returned { status, .. } => {
            let error = format!("the letter came back: {status}");
            (Some(status.clone()), Some("recipient".to_owned()), Some(error))
        }
        _ => (None, None, None),
    };
    sqlx::query(
        "update outbox_attempts set status = $3, code = coalesce($4, code), class = coalesce($5, class),
                                    error = coalesce($6, error)
         where outbox_id = $1 and n = $2",
    )
    .bind(outbox_id)
    .bind(n)
    .bind(status)
    .bind(code)
    .bind(class)
    .bind(error)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// It has arrived: nobody needs to try anything else. Never down again from `read`; a message withdrawn meanwhile stays so.
pub async fn arrived(tx: &mut Tx, id: Uuid, status: &str, channel: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update outbox set
           status = case when status = 'read' then status else $2 end, channel = $3,
           done_at = coalesce(done_at, now()), payload_cipher = null, leased_until = null,
           lease_token = lease_token + case when done_at is null then 1 else 0 end
         where id = $1 and status <> 'suppressed'",
    )
    .bind(id)
    .bind(status)
    .bind(channel)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A message that waits for a sender now.
#[derive(sqlx::FromRow)]
pub struct Waiting {
    waits: bool,
    pub is_code: bool,
}

/// It will not arrive by this channel after all: the next one's turn, if there is time and nobody is at it already. Nothing of a
/// code is left once it is done, so that is the end of it.
pub async fn came_back(
    tx: &mut Tx,
    id: Uuid,
    channel: &str,
    class: Option<&str>,
    error: Option<&str>,
) -> sqlx::Result<Option<Waiting>> {
    let came_back: Option<Waiting> = sqlx::query_as(
        "update outbox o set
           gave_up = case when $2 = any(gave_up) then gave_up else array_append(gave_up, $2) end,
           accepted = array_remove(accepted, $2), last_error = coalesce($4, last_error),
           error_class = coalesce($3, error_class),
           status = case when now.reopens then 'queued' else 'failed' end,
           done_at = case when now.reopens then null else coalesce(done_at, now()) end,
           payload_cipher = case when now.reopens then payload_cipher end,
           due_at = case when now.reopens then now() else due_at end,
           turn_since = null, leased_until = null, lease_token = lease_token + 1
         from (select id, purpose like 'code.%' as is_code,
                      expires_at > now() and not (purpose like 'code.%' and done_at is not null) as reopens
               from outbox where id = $1) as now
         where o.id = now.id and status in ('queued', 'sending', 'sent') and accepted <@ array[$2]
           and (leased_until is null or leased_until <= now())
         returning now.reopens as waits, now.is_code",
    )
    .bind(id)
    .bind(channel)
    .bind(class)
    .bind(error)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(came_back.filter(|message| message.waits))
}

/// What somebody said of a kind of messages.
#[derive(sqlx::FromRow)]
pub struct OptedOut {
    pub id: Uuid,
    pub patient_id: PatientId,
    pub kind: ConsentKind,
}

/// Everybody with this number wants no more by this channel.
pub async fn opt_out(tx: &mut Tx, phone: &str, channel: Channel) -> sqlx::Result<Vec<OptedOut>> {
    sqlx::query_as(
        "insert into consents (id, patient_id, kind, channel, granted, source)
         select gen_random_uuid(), p.id, k.kind, $2, false, $2
         from patients p cross join (values ('service'), ('reminders'), ('marketing')) as k (kind)
         where p.phone = $1 and p.deleted_at is null
         returning id, patient_id, kind",
    )
    .bind(phone)
    .bind(channel)
    .fetch_all(&mut **tx)
    .await
}
