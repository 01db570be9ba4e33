//! Links that let somebody in without a password: kept as a hash, good once, for one purpose and for a while.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgExecutor;

use super::refusals::{self, Refusal};
use super::tries;
use crate::audit::Actor;
use crate::crypto::{self, ClinicKeys};
use crate::db::Tx;
use crate::ids::AccountId;
use crate::outbox::{self, NewMessage};
use crate::tenancy::Realm;
use crate::tenancy::pools::Conn;

/// How long a link is good with which somebody sets a first password.
pub const LIFETIME: Duration = Duration::from_secs(72 * 3600);

/// What a link is good for, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SetPassword,
    ResetPassword,
    VerifyEmail,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SetPassword => "set_password",
            Purpose::ResetPassword => "reset_password",
            Purpose::VerifyEmail => "verify_email",
        }
    }

    pub fn lifetime(self) -> Duration {
        match self {
            Purpose::SetPassword => LIFETIME,
            Purpose::ResetPassword => Duration::from_secs(3600),
            Purpose::VerifyEmail => Duration::from_secs(24 * 3600),
        }
    }

    /// The message that brings it.
    fn message(self) -> &'static str {
        match self {
            Purpose::SetPassword => "account.invited",
            Purpose::ResetPassword => "account.password_reset",
            Purpose::VerifyEmail => "account.email_verification",
        }
    }

    /// The page of the realm's own host that takes it.
    fn page(self) -> &'static str {
        match self {
            Purpose::SetPassword => "set-password",
            Purpose::ResetPassword => "reset-password",
            Purpose::VerifyEmail => "verify-email",
        }
    }
}

/// Makes a link with which an account sets its first password; earlier ones end. Returns its token, which is kept nowhere.
pub async fn put(executor: impl PgExecutor<'_>, account: AccountId) -> sqlx::Result<String> {
    let token = crypto::random_token();
    sqlx::query(
        "with old as (update password_links set used_at = now()
                      where user_id = $2 and used_at is null and purpose = 'set_password')
         insert into password_links (token_sha256, user_id, expires_at) values ($1, $2, now() + $3)",
    )
    .bind(hash(&token).as_slice())
    .bind(account)
    .bind(LIFETIME)
    .execute(executor)
    .await?;
    Ok(token)
}

/// Ends every link of an account.
pub async fn end(executor: impl PgExecutor<'_>, account: AccountId) -> sqlx::Result<()> {
    sqlx::query("update password_links set used_at = now() where user_id = $1 and used_at is null")
        .bind(account)
        .execute(executor)
        .await
        .map(drop)
}

/// Makes a link that goes to an address; nobody's, until it is known whose it is (`bind`). Earlier ones stay good until one is
/// used.
pub async fn put_for(
    tx: &mut Tx,
    account: Option<AccountId>,
    purpose: Purpose,
    email: Option<&str>,
) -> sqlx::Result<String> {
    let token = crypto::random_token();
    sqlx::query(
        "insert into password_links (token_sha256, user_id, expires_at, purpose, email)
         values ($1, $2, now() + $3, $4, lower($5))",
    )
    .bind(hash(&token).as_slice())
    .bind(account)
    .bind(purpose.lifetime())
    .bind(purpose.as_str())
    .bind(email)
    .execute(&mut **tx)
    .await?;
    Ok(token)
}

/// Whether a link is still good for that.
pub async fn is_good(conn: &mut Conn, token: &str, purpose: Purpose) -> sqlx::Result<bool> {
    Ok(owner(conn, token, purpose).await?.is_some())
}

/// Whose a link is, if it is still good for that.
#[derive(sqlx::FromRow)]
pub struct Owner {
    pub id: AccountId,
    pub full_name: String,
    pub email: Option<String>,
    pub language: Option<String>,
}

pub async fn owner(conn: &mut Conn, token: &str, purpose: Purpose) -> sqlx::Result<Option<Owner>> {
    sqlx::query_as(
        "select u.id, u.full_name, u.email, u.language
         from password_links l join users u on u.id = l.user_id
         where l.token_sha256 = $1 and l.purpose = $2 and l.used_at is null and l.expires_at > now()
           and (l.email is null or l.email = lower(u.email))
           and u.deleted_at is null and u.status = 'active'",
    )
    .bind(hash(token).as_slice())
    .bind(purpose.as_str())
    .fetch_optional(conn)
    .await
}

/// What the letter of a forgotten password knows until it is sent: a link that is nobody's yet, and what somebody typed.
#[derive(Serialize, Deserialize)]
pub struct Asked {
    pub token: String,
    pub identifier: String,
}

/// Gives a link that was asked for to whoever has that identifier, if it is nobody's yet; gives who that is. Setting a password
/// or another address ends an account's links, and cannot end one that is nobody's: so an account that was changed after the
/// link was made does not get it. (Until this transaction ends, nobody changes it.)
pub async fn bind(tx: &mut Tx, asked: &Asked) -> sqlx::Result<Option<AccountId>> {
    let purpose = Purpose::ResetPassword;
    sqlx::query_scalar(
        "with who as (
           select id, lower(email) as email, updated_at from users
           where (lower(email) = lower($1) or phone = $1) and role <> 'patient' and email is not null
             and status = 'active' and deleted_at is null
           order by (lower(email) = lower($1)) desc limit 1 for share)
         update password_links l set user_id = who.id, email = who.email from who
         where l.token_sha256 = $2 and l.purpose = $3 and l.user_id is null and l.used_at is null
           and l.expires_at > now() and who.updated_at <= l.expires_at - $4
         returning l.user_id",
    )
    .bind(&asked.identifier)
    .bind(hash(&asked.token).as_slice())
    .bind(purpose.as_str())
    .bind(purpose.lifetime())
    .fetch_optional(&mut **tx)
    .await
}

/// Uses a link up, if it is good for that; gives whose it is. The account stays as it is until this transaction ends: nobody
/// gives it another address meanwhile.
pub async fn use_up(tx: &mut Tx, token: &str, purpose: Purpose) -> sqlx::Result<Option<AccountId>> {
    sqlx::query_scalar(
        "with good as (
           select l.token_sha256, u.id from password_links l join users u on u.id = l.user_id
           where l.token_sha256 = $1 and l.purpose = $2 and l.used_at is null and l.expires_at > now()
             and (l.email is null or l.email = lower(u.email))
             and u.deleted_at is null and u.status = 'active'
           for no key update of u)
         update password_links l set used_at = now() from good
         where l.token_sha256 = good.token_sha256 and l.used_at is null
         returning good.id",
    )
    .bind(hash(token).as_slice())
    .bind(purpose.as_str())
    .fetch_optional(&mut **tx)
    .await
}

/// Notes that somebody came with a link that is good for nothing.
pub async fn note_refused(realm: &Realm, actor: Actor, purpose: Purpose) {
    let place = tries::place(actor.address);
    let details = json!({ "purpose": purpose.as_str() });
    let subject = format!("{}\0{place}", purpose.as_str());
    let subject = subject.as_bytes();
    let refusal = Refusal { action: "link.refused", subject, account: None, details };
    refusals::note(realm, actor, refusal).await;
}

/// Whoever has set a password needs no other link to set one, and nobody else may find one that is good.
pub async fn end_all(tx: &mut Tx, account: AccountId) -> sqlx::Result<()> {
    sqlx::query(
        "update password_links set used_at = now()
         where user_id = $1 and used_at is null and purpose <> 'verify_email'",
    )
    .bind(account)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The message that brings a first link to its account.
pub fn invitation(
    keys: &ClinicKeys,
    account: AccountId,
    token: &str,
    now: DateTime<Utc>,
) -> NewMessage {
    letter(keys, Purpose::SetPassword, account, token, now)
}

/// The message that brings a link; each link has one of its own. The token in it is sealed: whoever reads the tables cannot sign
/// in with what he finds. A message that comes when its link is dead is of no use, so they end together.
pub fn letter(
    keys: &ClinicKeys,
    purpose: Purpose,
    account: AccountId,
    token: &str,
    now: DateTime<Utc>,
) -> NewMessage {
    message(keys, purpose, Some(account), token.as_bytes(), now)
}

/// The message that brings a link to whoever has an identifier, if anybody has it: that is looked up when it is sent.
pub fn letter_to_whom_it_concerns(
    keys: &ClinicKeys,
    asked: &Asked,
    now: DateTime<Utc>,
) -> NewMessage {
    let payload = serde_json::to_vec(asked).expect("two texts always serialise");
    message(keys, Purpose::ResetPassword, None, &payload, now)
}

fn message(
    keys: &ClinicKeys,
    purpose: Purpose,
    account: Option<AccountId>,
    payload: &[u8],
    now: DateTime<Utc>,
) -> NewMessage {
    let whose = account.map_or_else(crate::ids::new_uuid, |account| account.0);
    let dedupe_key = format!("{}:{whose}:{}", purpose.message(), crate::ids::new_uuid());
    let place = outbox::payload_place(&dedupe_key);
    NewMessage {
        purpose: purpose.message().to_owned(),
        subject_id: whose,
        patient_id: None,
        user_id: account.map(|account| account.0),
        payload_cipher: Some(keys.fields.seal(&place, payload)),
        channels: Vec::new(),
        due_at: now,
        expires_at: now + TimeDelta::seconds(purpose.lifetime().as_secs() as i64),
        dedupe_key,
    }
}

/// Under what a token is kept. It is 256 random bits, so a plain hash is enough.
pub fn hash(token: &str) -> [u8; 32] {
    crypto::sha256(token.as_bytes())
}

/// The address of a first link.
pub fn url(realm_url: &str, token: &str) -> String {
    url_for(realm_url, Purpose::SetPassword, token)
}

/// The address that is sent: a page of the realm's own host.
pub fn url_for(realm_url: &str, purpose: Purpose, token: &str) -> String {
    format!("{realm_url}/{}?token={token}", purpose.page())
}
