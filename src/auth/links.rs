//! Links with which a first admin or a new member of staff sets a password: good once, for 72 hours, kept as a hash.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;

use crate::crypto::{self, ClinicKeys};
use crate::ids::AccountId;
use crate::outbox::{self, NewMessage};

/// How long a link is good.
pub const LIFETIME: Duration = Duration::from_secs(72 * 3600);

/// Makes a link for an account; earlier ones end. Returns its token, which is kept nowhere.
pub async fn put(executor: impl PgExecutor<'_>, account: AccountId) -> sqlx::Result<String> {
    let token = crypto::random_token();
    sqlx::query(
        "with old as (update password_links set used_at = now() where user_id = $2 and used_at is null)
         insert into password_links (token_sha256, user_id, expires_at) values ($1, $2, now() + $3)",
    )
    .bind(hash(&token).as_slice())
    .bind(account)
    .bind(LIFETIME)
    .execute(executor)
    .await?;
    Ok(token)
}

/// Ends the links of an account.
pub async fn end(executor: impl PgExecutor<'_>, account: AccountId) -> sqlx::Result<()> {
    sqlx::query("update password_links set used_at = now() where user_id = $1 and used_at is null")
        .bind(account)
        .execute(executor)
        .await
        .map(drop)
}

/// The message that brings a link to its account. The token in it is sealed: whoever reads the tables cannot sign in with what
/// he finds. A message that comes when its link is dead is of no use, so they end together.
pub fn invitation(
    keys: &ClinicKeys,
    account: AccountId,
    token: &str,
    now: DateTime<Utc>,
) -> NewMessage {
    // Each link has a letter of its own: another one is no repetition.
    let dedupe_key = format!("account.invited:{account}:{}", crate::ids::new_uuid());
    let place = outbox::payload_place(&dedupe_key);
    NewMessage {
        purpose: "account.invited".to_owned(),
        subject_id: account.0,
        patient_id: None,
        user_id: Some(account.0),
        payload_cipher: Some(keys.fields.seal(&place, token.as_bytes())),
        channels: Vec::new(),
        due_at: now,
        expires_at: now + TimeDelta::seconds(LIFETIME.as_secs() as i64),
        dedupe_key,
    }
}

/// Under what a token is kept. It is 256 random bits, so a plain hash is enough.
pub fn hash(token: &str) -> [u8; 32] {
    crypto::sha256(token.as_bytes())
}

/// The address that is sent: a page of the realm's own host.
pub fn url(realm_url: &str, token: &str) -> String {
    format!("{realm_url}/set-password?token={token}")
}
