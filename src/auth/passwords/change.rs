//! Another password, set by who knows the old one or by who has a link.

use serde_json::json;

use super::{again, store};
use crate::audit::{self, Act, Actor};
use crate::auth::links::{self, Purpose};
use crate::auth::may::Principal;
use crate::auth::told::{self, What};
use crate::auth::{password, sessions};
use crate::error::{FieldError, Problem};
use crate::http::context::Context;

/// Sets another password. Every other session ends.
///
/// # Errors
/// `422` when the current password is wrong, or the new one no other; `409` when somebody else set one meanwhile.
pub async fn change(
    at: &Context,
    who: &Principal,
    current: String,
    new: String,
) -> Result<(), Problem> {
    let same = current == new;
    let again::Proved { tx, hash: proved } =
        again::prove(at, who, "/current_password", current).await?;
    if same {
        let same = FieldError::body("/new_password", "unchanged", "this is your password already");
        return Err(Problem::invalid(vec![same]));
    }
    tx.commit().await?; // no connection is held across a hash
    let hash = password::hash(at.realm.id, new).await?;
    let mut tx = told::begin(at, who.actor()).await?;
    if !store::replace_password(&mut tx, who.account, &proved, &hash).await? {
        return Err(Problem::conflict("conflict", "another password was set meanwhile"));
    }
    let reason = "password_changed";
    let ended = store::end_other_sessions(&mut tx, who.account, who.session, reason).await?;
    links::end_all(&mut tx, who.account).await?;
    let act = Act::new("account.password_changed", "account", who.account);
    audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
    told::tell(&mut tx, at, who.account, What::PasswordChanged).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets a password with the link that was sent to somebody who forgot it. Every session ends.
///
/// # Errors
/// `401 link-expired`
pub async fn reset(at: &Context, token: &str, new: String, actor: Actor) -> Result<(), Problem> {
    let mut conn = at.realm.read().await?;
    if !links::is_good(&mut conn, token, Purpose::ResetPassword).await? {
        drop(conn);
        links::note_refused(&at.realm, actor, Purpose::ResetPassword).await;
        return Err(link_expired()); // before the hash: that is only for those who have a link
    }
    drop(conn);
    let hash = password::hash(at.realm.id, new).await?;
    let mut tx = told::begin(at, actor).await?;
    // Of two who use one link at once, the second finds it used.
    let account = links::use_up(&mut tx, token, Purpose::ResetPassword).await?;
    let account = account.ok_or_else(link_expired)?;
    crate::auth::store::set_password(&mut tx, account, &hash).await?;
    links::end_all(&mut tx, account).await?;
    let ended = sessions::end_all(&mut tx, account, "password_reset").await?;
    let act = Act::new("account.password_reset", "account", account);
    audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
    told::tell(&mut tx, at, account, What::PasswordChanged).await?;
    tx.commit().await?;
    Ok(())
}

/// `401 link-expired`: used, too old, replaced, or never made.
pub fn link_expired() -> Problem {
    let mut gone = Problem::unauthenticated("this link has been used, or is too old");
    gone.name = "link-expired";
    gone
}
