//! SQL of what providers tell us.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::event::Event;
use crate::db::Tx;
use crate::ids::MessageId;
use crate::messaging::channels::Reported;
use crate::tenancy::pools::Conn;

/// Keeps an event; false if it was there already.
pub async fn keep(
    tx: &mut Tx,
    provider: &str,
    key: &str,
    body_cipher: &[u8],
) -> sqlx::Result<bool> {
    let kept = sqlx::query(
        "insert into inbound_events (provider, event_key, body_cipher) values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(provider)
    .bind(key)
    .bind(body_cipher)
    .execute(&mut **tx)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Events that nobody has worked on, or that came before what they are about.
pub async fn open(conn: &mut Conn) -> sqlx::Result<Vec<(String, String, Vec<u8>)>> {
    sqlx::query_as(
        "select provider, event_key, body_cipher from inbound_events
         where handled_at is null and handled_as is null order by received_at limit 200",
    )
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

/// News that nothing was ever found for.
pub async fn give_up_old(conn: &mut Conn) -> sqlx::Result<u64> {
    let old = sqlx::query(
        "update inbound_events set handled_at = now(), handled_as = 'about nothing of ours'
         where handled_at is null and handled_as is null and received_at < now() - interval '7 days'",
    )
    .execute(conn.never_repeat())
    .await?;
    Ok(old.rows_affected())
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

/// It will not arrive by this channel after all: the next one's turn, if there is time and nobody is at it already. True: the
/// message waits for a sender now. Nothing of a code is left once it is done, so that is the end of it.
pub async fn came_back(
    tx: &mut Tx,
    id: Uuid,
    channel: &str,
    class: Option<&str>,
    error: Option<&str>,
) -> sqlx::Result<bool> {
    let reopened: Option<bool> = sqlx::query_scalar(
        "update outbox o set
           gave_up = case when $2 = any(gave_up) then gave_up else array_append(gave_up, $2) end,
           accepted = array_remove(accepted, $2), last_error = coalesce($4, last_error),
           error_class = coalesce($3, error_class),
           status = case when now.reopens then 'queued' else 'failed' end,
           done_at = case when now.reopens then null else coalesce(done_at, now()) end,
           payload_cipher = case when now.reopens then payload_cipher end,
           due_at = case when now.reopens then now() else due_at end,
           turn_since = null, leased_until = null, lease_token = lease_token + 1
         from (select id, expires_at > now() and not (purpose like 'code.%' and done_at is not null) as reopens
               from outbox where id = $1) as now
         where o.id = now.id and status in ('queued', 'sending', 'sent') and accepted <@ array[$2]
           and (leased_until is null or leased_until <= now())
         returning now.reopens",
    )
    .bind(id)
    .bind(channel)
    .bind(class)
    .bind(error)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(reopened.unwrap_or(false))
}

/// Everybody with this number wants no more by this channel.
pub async fn opt_out(tx: &mut Tx, phone: &str, channel: &str) -> sqlx::Result<u64> {
    let noted = sqlx::query(
        "insert into consents (id, patient_id, kind, channel, granted, source)
         select gen_random_uuid(), p.id, k.kind, $2, false, $2
         from patients p cross join (values ('service'), ('reminders'), ('marketing')) as k (kind)
         where p.phone = $1 and p.deleted_at is null",
    )
    .bind(phone)
    .bind(channel)
    .execute(&mut **tx)
    .await?;
    Ok(noted.rows_affected())
}
