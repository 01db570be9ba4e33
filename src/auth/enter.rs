//! Signing in by another way than a password: whoever proved who it is opens the session in the transaction of the proof.

use super::login::open_session;
use super::pair::{self, Tokens};
use super::store;
use crate::audit::Actor;
use crate::db::Tx;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// Opens a session for an account that may sign in, and holds it open until the transaction ends; None for one that may not. The tokens are good once the transaction
/// has committed.
pub async fn enter(
    tx: &mut Tx,
    realm: &Realm,
    account: AccountId,
    device: &str,
) -> sqlx::Result<Option<Tokens>> {
    let Some(account) = store::hold_open(tx, account).await? else { return Ok(None) };
    let session = SessionId::new();
    let actor = Actor {
        account: Some(account.id),
        role: Some(account.role.as_str()),
        session: Some(session),
        ..tx.actor().clone()
    };
    tx.act_as(actor);
    open_session(tx, session, account.id, device).await?;
    Ok(Some(pair::issue(realm, &account, session, 0)))
}
