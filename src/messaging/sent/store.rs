//! All SQL of the list of messages. Nothing here reads a payload. Chores are rows of the outbox too, and nobody's messages.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::api::{AttemptView, MessageView, Status};
use crate::db::Tx;
use crate::ids::{MessageId, PatientId};
use crate::messaging::channels::{Channel, ErrorClass};
use crate::tenancy::pools::Conn;

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: MessageId,
    purpose: String,
    patient_id: Option<PatientId>,
    status: String,
    channel: Option<String>,
    attempts: i32,
    due_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    done_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    error_class: Option<String>,
    last_error: Option<String>,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    outbox_id: Uuid,
    n: i32,
    channel: String,
    provider: String,
    outcome: Option<String>,
    status: Option<String>,
    http: Option<i32>,
    code: Option<String>,
    class: Option<String>,
    error: Option<String>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

macro_rules! list {
    ($filter:literal) => {
        concat!(
            "select id, purpose, patient_id, status, channel, attempts, due_at, expires_at, done_at, created_at,
                    error_class, last_error
             from outbox where ",
            $filter,
            " and id < $2 and ($3::text is null or channel = $3) and purpose not like 'chore.%' order by id desc limit $4"
        )
    };
}

/// The newest first. Each set of filters that has an index has a statement of its own.
pub async fn list(
    conn: &mut Conn,
    patient: Option<PatientId>,
    status: Option<Status>,
    channel: Option<Channel>,
    after: Option<MessageId>,
    limit: i64,
) -> sqlx::Result<Vec<MessageView>> {
    let (after, channel) = (after.map_or(Uuid::max(), |id| id.0), channel.map(Channel::as_str));
    let rows: Vec<MessageRow> = match (patient, status) {
        (Some(patient), None) => {
            sqlx::query_as(list!("patient_id = $1"))
                .bind(patient)
                .bind(after)
                .bind(channel)
                .bind(limit)
                .fetch_all(&mut *conn)
                .await?
        }
        (None, Some(status)) => {
            sqlx::query_as(list!("status = $1"))
                .bind(status.as_str())
                .bind(after)
                .bind(channel)
                .bind(limit)
                .fetch_all(&mut *conn)
                .await?
        }
        (Some(patient), Some(status)) => {
            sqlx::query_as(list!("patient_id = $1 and status = $5"))
                .bind(patient)
                .bind(after)
                .bind(channel)
                .bind(limit)
                .bind(status.as_str())
                .fetch_all(&mut *conn)
                .await?
        }
        (None, None) => {
            sqlx::query_as(list!("$1"))
                .bind(true)
                .bind(after)
                .bind(channel)
                .bind(limit)
                .fetch_all(&mut *conn)
                .await?
        }
    };
    with_attempts(conn, rows).await
}

pub async fn by_id(conn: &mut Conn, id: MessageId) -> sqlx::Result<Option<MessageView>> {
    let rows: Vec<MessageRow> = sqlx::query_as(
        "select id, purpose, patient_id, status, channel, attempts, due_at, expires_at, done_at, created_at,
                error_class, last_error
         from outbox where id = $1 and purpose not like 'chore.%'",
    )
    .bind(id)
    .fetch_all(&mut *conn)
    .await?;
    Ok(with_attempts(conn, rows).await?.pop())
}

async fn with_attempts(conn: &mut Conn, rows: Vec<MessageRow>) -> sqlx::Result<Vec<MessageView>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.0).collect();
    let attempts: Vec<AttemptRow> = sqlx::query_as(
        "select outbox_id, n, channel, provider, outcome, status, http, code, class, error, started_at, ended_at
         from outbox_attempts where outbox_id = any($1) order by outbox_id, n",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    let mut of: HashMap<Uuid, Vec<AttemptView>> = HashMap::new();
    for row in attempts {
        of.entry(row.outbox_id).or_default().push(AttemptView {
            n: row.n,
            channel: row.channel,
            provider: row.provider,
            outcome: row.outcome,
            status: row.status,
            http: row.http,
            code: row.code,
            class: class(row.class.as_deref()),
            error: row.error,
            started_at: row.started_at,
            ended_at: row.ended_at,
        });
    }
    Ok(rows
        .into_iter()
        .map(|row| MessageView {
            attempts: of.remove(&row.id.0).unwrap_or_default(),
            id: row.id,
            purpose: row.purpose,
            patient_id: row.patient_id,
            status: row.status,
            channel: row.channel,
            tries: row.attempts,
            due_at: row.due_at,
            expires_at: row.expires_at,
            done_at: row.done_at,
            created_at: row.created_at,
            error_class: class(row.error_class.as_deref()),
            error: row.last_error,
        })
        .collect())
}

fn class(name: Option<&str>) -> Option<ErrorClass> {
    ErrorClass::ALL.into_iter().find(|class| Some(class.as_str()) == name)
}

/// A new generation of a message that came to nothing, while it is of use yet. A code's secret is wiped, so there is none to send.
pub async fn retry(tx: &mut Tx, id: MessageId) -> sqlx::Result<bool> {
    let again = sqlx::query(
        "update outbox set
           status = 'queued', done_at = null, due_at = now(), leased_until = null, lease_token = lease_token + 1,
           gave_up = '{}', passed = '{}', accepted = '{}', turn_since = null, attempts_before = attempts,
           last_error = null, error_class = null
         where id = $1 and status in ('failed', 'suppressed') and expires_at > now()
           and purpose like 'appointment.%'",
    )
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(again.rows_affected() == 1)
}
