//! All SQL of signing in. Clinics and the platform have these tables in the same shape, so one text serves both.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row};

use super::role::Role;
use crate::db::Tx;
use crate::ids::{AccountId, PatientId, SessionId};
use crate::tenancy::pools::Conn;

/// Somebody who wants to sign in.
#[derive(sqlx::FromRow)]
pub struct Account {
    pub id: AccountId,
    pub role: Role,
    pub full_name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub status: String,
    pub password_hash: Option<String>,
}

/// An identifier as the lookup reads it: whatever counts by it counts those together that may name one account, whether there is
/// one or not.
pub async fn folded(conn: &mut Conn, identifier: &str) -> sqlx::Result<String> {
    sqlx::query_scalar("select lower($1)").bind(identifier).fetch_one(conn).await
}

/// A member of staff by e-mail or phone. Patients have no password, so they are not found here.
pub async fn account_by_identifier(
    conn: &mut Conn,
    identifier: &str,
) -> sqlx::Result<Option<Account>> {
    sqlx::query_as(
        "select id, role, full_name, email, phone, status, password_hash from users
         where (lower(email) = lower($1) or phone = $1) and role <> 'patient' and deleted_at is null
         order by (lower(email) = lower($1)) desc limit 1",
    )
    .bind(identifier)
    .fetch_optional(conn)
    .await
}

pub async fn account_by_id(conn: &mut Conn, id: AccountId) -> sqlx::Result<Option<Account>> {
    sqlx::query_as(
        "select id, role, full_name, email, phone, status, password_hash from users
         where id = $1 and deleted_at is null",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Whether an account still has the password that it had, and may sign in: and so it stays until this transaction ends.
pub async fn still_opens(tx: &mut Tx, account: &Account) -> sqlx::Result<bool> {
    let stands: Option<bool> = sqlx::query_scalar(
        "select true from users
         where id = $1 and password_hash = $2 and status = 'active' and deleted_at is null for share",
    )
    .bind(account.id)
    .bind(&account.password_hash)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(stands.is_some())
}

/// An account that may sign in, as it stands until this transaction ends: whoever shuts it waits, and then ends what was opened.
pub async fn hold_open(tx: &mut Tx, id: AccountId) -> sqlx::Result<Option<Account>> {
    sqlx::query_as(
        "select id, role, full_name, email, phone, status, password_hash from users
         where id = $1 and status = 'active' and deleted_at is null for share",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await
}

/// Nobody opens a session of an account until this transaction ends.
pub async fn lock_account(tx: &mut Tx, id: AccountId) -> sqlx::Result<()> {
    sqlx::query("select from users where id = $1 for no key update")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Failures of one subject in the window: how many, and how long until the oldest of them leaves it.
pub async fn login_failures(
    conn: &mut Conn,
    subject: &[u8],
    window: Duration,
) -> sqlx::Result<(i64, Option<f64>)> {
    sqlx::query_as(
        "select count(*), extract(epoch from min(failed_at) + $2 - now())::float8
         from login_failures where subject_sha256 = $1 and failed_at > now() - $2",
    )
    .bind(subject)
    .bind(window)
    .fetch_one(conn)
    .await
}

/// Nobody else judges a sign-in of this subject until this transaction ends.
pub async fn lock_failures(tx: &mut Tx, subject: &[u8; 32]) -> sqlx::Result<()> {
    let key = i64::from_be_bytes(subject[..8].try_into().expect("eight of thirty-two"));
    sqlx::query("select pg_advisory_xact_lock($1)").bind(key).execute(&mut **tx).await.map(drop)
}

/// As [`lock_failures`], for who would rather go than wait: false when somebody else has it.
pub async fn try_lock_failures(tx: &mut Tx, subject: &[u8; 32]) -> sqlx::Result<bool> {
    let key = i64::from_be_bytes(subject[..8].try_into().expect("eight of thirty-two"));
    sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(key).fetch_one(&mut **tx).await
}

/// Notes a failure, and forgets this subject's old ones.
pub async fn note_failure(tx: &mut Tx, subject: &[u8], window: Duration) -> sqlx::Result<()> {
    sqlx::query(
        "with old as (delete from login_failures where subject_sha256 = $1 and failed_at < now() - $2)
         insert into login_failures (subject_sha256) values ($1)",
    )
    .bind(subject)
    .bind(window)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn forget_failures(tx: &mut Tx, subject: &[u8]) -> sqlx::Result<()> {
    sqlx::query("delete from login_failures where subject_sha256 = $1")
        .bind(subject)
        .execute(&mut **tx)
        .await
        .map(drop)
}

pub async fn insert_session(
    tx: &mut Tx,
    id: SessionId,
    account: AccountId,
    device: &str,
    address: Option<IpAddr>,
    lifetime: Duration,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into sessions (id, user_id, device, address, expires_at)
         values ($1, $2, $3, $4::inet, now() + $5)",
    )
    .bind(id)
    .bind(account)
    .bind(device)
    .bind(address.map(|address| address.to_string()))
    .bind(lifetime)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A session that is alive, as its account stands now.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LiveRow {
    pub account: AccountId,
    pub role: Role,
    pub full_name: String,
    pub patient: Option<PatientId>,
    /// Its role needs a second factor, and it has none: it may get one, and nothing else.
    pub must_enrol: bool,
}

/// Reads a live session, and notes that it was seen, once a minute at most.
pub async fn live_session(
    conn: &mut Conn,
    id: SessionId,
    platform: bool,
) -> sqlx::Result<Option<LiveRow>> {
    // The platform has no patients.
    let sql = if platform {
        "with seen as (
           update sessions set last_seen_at = now()
           where id = $1 and ended_at is null and last_seen_at < now() - interval '1 minute')
         select u.id as account, u.role, u.full_name, null::uuid as patient,
                u.role = any(t.second_factor_roles) and f.user_id is null as must_enrol
         from sessions s join users u on u.id = s.user_id cross join sign_in_settings t
         left join second_factors f on f.user_id = u.id and f.confirmed_at is not null
         where s.id = $1 and s.ended_at is null and s.expires_at > now()
           and u.status = 'active' and u.deleted_at is null"
    } else {
        "with seen as (
           update sessions set last_seen_at = now()
           where id = $1 and ended_at is null and last_seen_at < now() - interval '1 minute')
         select u.id as account, u.role, u.full_name, p.id as patient,
                u.role = any(t.second_factor_roles) and f.user_id is null as must_enrol
         from sessions s join users u on u.id = s.user_id cross join sign_in_settings t
         left join second_factors f on f.user_id = u.id and f.confirmed_at is not null
         left join patients p on p.user_id = u.id and p.deleted_at is null
         where s.id = $1 and s.ended_at is null and s.expires_at > now()
           and u.status = 'active' and u.deleted_at is null"
    };
    sqlx::query_as(sql).bind(id).fetch_optional(conn).await
}

/// Of these sessions of a clinic those that are alive, as their accounts stand now. For streams: nobody is noted as seen.
pub async fn live_among(
    conn: &mut Conn,
    ids: &[SessionId],
) -> sqlx::Result<Vec<(SessionId, LiveRow)>> {
    let rows = sqlx::query(
        "select s.id as session, u.id as account, u.role, u.full_name, p.id as patient,
                u.role = any(t.second_factor_roles) and f.user_id is null as must_enrol
         from sessions s join users u on u.id = s.user_id cross join sign_in_settings t
         left join second_factors f on f.user_id = u.id and f.confirmed_at is not null
         left join patients p on p.user_id = u.id and p.deleted_at is null
         where s.id = any($1) and s.ended_at is null and s.expires_at > now()
           and u.status = 'active' and u.deleted_at is null",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("session")?, LiveRow::from_row(row)?))).collect()
}

/// Moves a session's refresh token on, if the presented generation is the current one.
pub async fn advance_session(
    conn: &mut Conn,
    id: SessionId,
    generation: i32,
    lifetime: Duration,
) -> sqlx::Result<Option<AccountId>> {
    sqlx::query_scalar(
        "update sessions s set generation = generation + 1, rotated_at = now(), last_seen_at = now(),
                               expires_at = now() + $3
         from users u
         where s.id = $1 and s.generation = $2 and s.ended_at is null and s.expires_at > now()
           and u.id = s.user_id and u.status = 'active' and u.deleted_at is null
         returning s.user_id",
    )
    .bind(id)
    .bind(generation)
    .bind(lifetime)
    .fetch_optional(conn)
    .await
}

/// Where a session's refresh token stands.
#[derive(sqlx::FromRow)]
pub struct Standing {
    pub account: AccountId,
    pub generation: i32,
    /// Seconds since it was last moved on.
    pub rotated_ago: f64,
    pub alive: bool,
}

pub async fn session_standing(conn: &mut Conn, id: SessionId) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as(
        "select s.user_id as account, s.generation,
                extract(epoch from now() - s.rotated_at)::float8 as rotated_ago,
                s.ended_at is null and s.expires_at > now()
                  and u.status = 'active' and u.deleted_at is null as alive
         from sessions s join users u on u.id = s.user_id where s.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Ends one session of an account; false when there was none alive.
pub async fn end_session(
    tx: &mut Tx,
    account: AccountId,
    id: SessionId,
    reason: &str,
) -> sqlx::Result<bool> {
    let ended = sqlx::query(
        "update sessions set ended_at = now(), ended_reason = $3
         where id = $1 and user_id = $2 and ended_at is null",
    )
    .bind(id)
    .bind(account)
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// Ends every session of an account.
pub async fn end_sessions(tx: &mut Tx, account: AccountId, reason: &str) -> sqlx::Result<u64> {
    let ended = sqlx::query(
        "update sessions set ended_at = now(), ended_reason = $2 where user_id = $1 and ended_at is null",
    )
    .bind(account)
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected())
}

/// A session as its owner sees it.
#[derive(sqlx::FromRow)]
pub struct SessionRow {
    pub id: SessionId,
    pub device: String,
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

pub async fn sessions_of(conn: &mut Conn, account: AccountId) -> sqlx::Result<Vec<SessionRow>> {
    sqlx::query_as(
        "select id, device, host(address) as address, created_at, last_seen_at from sessions
         where user_id = $1 and ended_at is null and expires_at > now() order by last_seen_at desc",
    )
    .bind(account)
    .fetch_all(conn)
    .await
}

pub async fn set_password(tx: &mut Tx, account: AccountId, hash: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update users set password_hash = $2, version = version + 1, updated_at = now() where id = $1",
    )
    .bind(account)
    .bind(hash)
    .execute(&mut **tx)
    .await
    .map(drop)
}
