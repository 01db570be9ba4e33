//! Somebody has forgotten a password. Nobody is looked up: whoever asks leaves a link and a letter that are nobody's, by the same
//! statements. Whose they are is found out when the letter is sent (`messaging/facts/links.rs`), after the answer.

use crate::audit::{self, Act};
use crate::auth::links::{self, Asked, Purpose};
use crate::auth::store;
use crate::auth::tries::{self, Tries};
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::limits::Limit;
use crate::ids::MessageId;
use crate::outbox;

const ASKED: Limit = Limit::new("forgot-password", 5, 3600);
const FROM_ONE_PLACE: Limit = Limit::new("forgot-password-address", 50, 3600);

/// How a link comes to its owner.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, poem_openapi::Enum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum SentBy {
    /// To the address of the account.
    Email,
    /// The platform sends no mail: a super-admin makes a link and passes it on.
    Administrator,
}

/// Sends a link to whoever has this identifier and a password.
///
/// # Errors
/// `429` when this identifier was asked for five times in an hour, or too many were from one address.
pub async fn forgot(caller: &Anybody, identifier: &str) -> Result<SentBy, Problem> {
    let realm = &caller.realm;
    let words = "too many asked for a new password; look for the letter, or wait";
    let mut tx = match &caller.clinic {
        Some(clinic) => clinic.begin_telling(caller.actor(), &[]).await?,
        None => realm.begin(caller.actor()).await?,
    };
    let asked = Tries::of(realm, &ASKED, &store::folded(&mut tx, identifier).await?, words);
    let here = Tries::of(realm, &FROM_ONE_PLACE, &tries::place(caller.address), words);
    tries::lock_all(&mut tx, &[&asked, &here]).await?;
    asked.require_one(&mut tx).await?;
    here.require_one(&mut tx).await?;
    asked.note(&mut tx).await?;
    here.note(&mut tx).await?;
    audit::record(&mut tx, Act::unknown("account.password_reset_asked", "account")).await?;
    if let Some(clinic) = &caller.clinic {
        let token = links::put_for(&mut tx, None, Purpose::ResetPassword, None).await?;
        let asked = Asked { token, identifier: identifier.to_owned() };
        let letter = links::letter_to_whom_it_concerns(&clinic.keys, &asked, tx.now());
        if let Some(message) = outbox::put(&mut *tx, &letter).await? {
            tx.note_message(MessageId(message));
        }
    }
    tx.commit().await?;
    Ok(if caller.clinic.is_some() { SentBy::Email } else { SentBy::Administrator })
}
