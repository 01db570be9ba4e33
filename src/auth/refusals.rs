//! Sign-ins and links that were refused are on record, and nobody fills the log with them: of one subject in an hour the first
//! refusal is written, the tenth and the hundredth, each with its number; after that nobody counts any more. A subject is an
//! account, an identifier or a network, so whoever asks again and again is one.
//!
//! A wrong password is written each time, elsewhere (`login.rs`): it costs whoever guesses a hash, and ten end it.

use std::time::Duration;

use serde_json::{Value, json};

use super::store;
use crate::audit::{self, Act, Actor};
use crate::crypto;
use crate::error::Problem;
use crate::ids::AccountId;
use crate::tenancy::Realm;

const WINDOW: Duration = Duration::from_secs(3600);
const WRITTEN: [i64; 3] = [1, 10, 100];

/// Something that was refused.
pub struct Refusal<'a> {
    /// `session.limited`
    pub action: &'static str,
    /// Whom or what it is counted for.
    pub subject: &'a [u8],
    pub account: Option<AccountId>,
    /// Never a secret, nor what somebody typed.
    pub details: Value,
}

/// Notes a refusal, in a transaction of its own. Whether it can be noted or not, the caller refuses.
pub async fn note(realm: &Realm, actor: Actor, refusal: Refusal<'_>) {
    let action = refusal.action;
    if let Err(problem) = try_note(realm, actor, refusal).await {
        tracing::warn!(action, problem = %problem.detail, "a refusal could not be noted");
    }
}

async fn try_note(realm: &Realm, actor: Actor, refusal: Refusal<'_>) -> Result<(), Problem> {
    let Refusal { action, subject, account, mut details } = refusal;
    let said = [b"refusal\0", action.as_bytes(), b"\0", subject].concat();
    let subject = crypto::mac(&realm.keys.blind_index, &said);
    let mut tx = realm.begin(actor).await?;
    // Who comes while another counts is not counted: a crowd must not queue for a connection's sake.
    if !store::try_lock_failures(&mut tx, &subject).await? {
        return Ok(tx.rollback().await?);
    }
    let (before, _) = store::login_failures(&mut tx, &subject, WINDOW).await?;
    let count = before + 1;
    if count > WRITTEN[WRITTEN.len() - 1] {
        return Ok(tx.rollback().await?);
    }
    store::note_failure(&mut tx, &subject, WINDOW).await?;
    if WRITTEN.contains(&count) {
        details["count"] = json!(count);
        let act = Act { entity_id: account.map(Into::into), ..Act::unknown(action, "account") };
        audit::record(&mut tx, act.details(details)).await?;
    }
    Ok(tx.commit().await?)
}
