//! Exchanging a refresh token. Only its generation and the time of its last move are kept. Twenty tabs that refresh at once
//! get the same successor; an older one at any time is theft, and ends the session.

use serde_json::json;

use super::pair::{self, Tokens};
use super::{Sessions, refresh_token, store};
use crate::audit::{self, Act, Actor};
use crate::error::Problem;
use crate::http::limits::Limits;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// For so long the immediate predecessor is still answered, with the same successor.
const GRACE_SECONDS: f64 = 10.0;

/// Exchanges a refresh token for a new pair.
///
/// # Errors
/// `401 unauthenticated` for what is no token of ours or of an ended session; `401 refresh-token-reused` for an old one;
/// `429` beyond 60 a minute.
pub async fn refresh(
    realm: &Realm,
    sessions: &Sessions,
    limits: &Limits,
    token: &str,
    actor: Actor,
) -> Result<Tokens, Problem> {
    let no_good = || Problem::unauthenticated("this refresh token is not good here, or no longer");
    let (session, generation) = refresh_token::parse(realm, token).ok_or_else(no_good)?;
    limits.refresh(session).await?;
    let mut conn = realm.read().await?;
    if let Some(account) =
        store::advance_session(&mut conn, session, generation, refresh_token::LIFETIME).await?
    {
        let account = store::account_by_id(&mut conn, account).await?.ok_or_else(no_good)?;
        return Ok(pair::issue(realm, &account, session, generation + 1));
    }
    let standing = store::session_standing(&mut conn, session).await?;
    let standing = standing.filter(|s| s.alive).ok_or_else(no_good)?;
    if standing.generation == generation + 1 && standing.rotated_ago <= GRACE_SECONDS {
        let account =
            store::account_by_id(&mut conn, standing.account).await?.ok_or_else(no_good)?;
        return Ok(pair::issue(realm, &account, session, standing.generation));
    }
    drop(conn);
    end_stolen(realm, sessions, standing.account, session, actor).await?;
    let mut stolen = Problem::unauthenticated(
        "this refresh token was used before: the session has been ended, sign in again",
    );
    stolen.name = "refresh-token-reused";
    Err(stolen)
}

async fn end_stolen(
    realm: &Realm,
    sessions: &Sessions,
    account: AccountId,
    session: SessionId,
    actor: Actor,
) -> Result<(), Problem> {
    tracing::warn!(%session, "an old refresh token was presented; the session is ended");
    let mut tx = realm.begin(actor).await?;
    store::end_session(&mut tx, account, session, "refresh_token_reused").await?;
    let act = Act::new("session.stolen", "session", session);
    audit::record(&mut tx, act.details(json!({ "account": account }))).await?;
    tx.commit().await?;
    sessions.changed(realm).await;
    Ok(())
}
