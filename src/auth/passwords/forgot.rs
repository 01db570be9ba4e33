//! Somebody has forgotten a password. Known or unknown, whoever asks gets the same answer after the same statements, and leaves
//! the same rows: a link and a letter, which are nobody's where nobody is known.

use super::store;
use crate::audit::{self, Act};
use crate::auth::links::{self, Purpose};
use crate::auth::tries::{self, Tries};
use crate::crypto;
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
    let who = identifier.to_lowercase();
    let asked = Tries::of(realm, &ASKED, &who, words);
    let here = Tries::of(realm, &FROM_ONE_PLACE, &tries::place(caller.address), words);
    let mut tx = match &caller.clinic {
        Some(clinic) => clinic.begin_telling(caller.actor(), &[]).await?,
        None => realm.begin(caller.actor()).await?,
    };
    tries::lock_all(&mut tx, &[&asked, &here]).await?;
    asked.require_one(&mut tx).await?;
    here.require_one(&mut tx).await?;
    asked.note(&mut tx).await?;
    here.note(&mut tx).await?;
    let known = store::whose_password(&mut tx, identifier).await?;
    let account = known.as_ref().map(|(account, _)| *account);
    let act = Act {
        entity_id: account.map(Into::into),
        ..Act::unknown("account.password_reset_asked", "account")
    };
    audit::record(&mut tx, act).await?;
    if let Some(clinic) = &caller.clinic {
        // As long as somebody's would be.
        let nobodys = format!("{}@nobody.invalid", &crypto::random_token()[..12]);
        let email = known.as_ref().map_or(nobodys.as_str(), |(_, email)| email);
        let purpose = Purpose::ResetPassword;
        let token = links::put_for(&mut tx, account, purpose, Some(email)).await?;
        let letter = links::letter(&clinic.keys, purpose, account, &token, tx.now());
        if let Some(message) = outbox::put(&mut *tx, &letter).await? {
            tx.note_message(MessageId(message));
        }
    }
    tx.commit().await?;
    Ok(if caller.clinic.is_some() { SentBy::Email } else { SentBy::Administrator })
}
