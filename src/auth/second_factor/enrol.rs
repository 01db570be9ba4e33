//! Getting a second factor and giving it up. Both ask for more than a session, which may be stolen.

use serde_json::json;

use super::judge::{self, Counted, Judged, Offered, Proof, open};
use super::recovery::{self, RecoveryCode};
use super::{store, totp};
use crate::audit::{self, Act};
use crate::auth::may::Principal;
use crate::auth::passwords::{again, end_other_sessions};
use crate::crypto;
use crate::error::{FieldError, Problem};
use crate::tenancy::Realm;

/// What is shown once.
pub struct Begun {
    pub secret: String,
    pub uri: String,
    pub recovery_codes: Vec<String>,
}

/// Begins an enrolment; it counts once it is confirmed. Begun again, what was shown before is worth nothing.
///
/// # Errors
/// `409` when there is a factor; `422` for a wrong password.
pub async fn begin(
    realm: &Realm,
    who: &Principal,
    issuer: &str,
    password: String,
) -> Result<Begun, Problem> {
    let proved = again::prove(realm, who, "/password", password).await?;
    proved.tx.commit().await?; // no connection is held across a hash
    let mut conn = realm.read().await?;
    if store::factor(&mut conn, who.account).await?.is_some_and(|factor| factor.confirmed) {
        return Err(enrolled_already());
    }
    let email = crate::auth::store::account_by_id(&mut conn, who.account).await?;
    let email = email.and_then(|account| account.email).ok_or_else(Problem::not_found)?;
    drop(conn);
    let codes: Vec<RecoveryCode> = (0..recovery::COUNT).map(RecoveryCode::generate).collect();
    let mut hashes = Vec::with_capacity(codes.len());
    for code in &codes {
        hashes.push(code.hash(realm.id).await?);
    }
    let secret: totp::Secret = crypto::random();
    let sealed = realm.keys.fields.seal(&store::place(who.account), &secret);
    let mut tx = realm.begin(who.actor()).await?;
    if !store::begin(&mut tx, who.account, &sealed).await? {
        return Err(enrolled_already());
    }
    store::put_recovery_codes(&mut tx, who.account, &hashes).await?;
    audit::record(&mut tx, Act::new("account.second_factor_begun", "account", who.account)).await?;
    tx.commit().await?;
    Ok(Begun {
        secret: totp::base32(&secret),
        uri: totp::uri(issuer, &email, &secret),
        recovery_codes: codes.iter().map(RecoveryCode::shown).collect(),
    })
}

fn enrolled_already() -> Problem {
    Problem::conflict("conflict", "there is a second factor already; remove it first")
}

/// Confirms that the app has the secret. Every other session ends: it was opened without.
///
/// # Errors
/// `409` when nothing waits for it; `422` for a wrong code; `429` after five.
pub async fn confirm(realm: &Realm, who: &Principal, code: &str) -> Result<(), Problem> {
    let mut tx = realm.begin(who.actor()).await?;
    let counted = Counted::begin(&mut tx, realm, who.account).await?;
    let factor = store::factor(&mut tx, who.account).await?.filter(|factor| !factor.confirmed);
    let factor =
        factor.ok_or_else(|| Problem::conflict("conflict", "there is nothing to confirm"))?;
    let secret = open(realm, who.account, &factor.secret_cipher)?;
    let right = match totp::step_of(&secret, &code.replace([' ', '-'], ""), realm.clock.now()) {
        Some(step) => store::confirm(&mut tx, who.account, &factor.secret_cipher, step).await?,
        None => false,
    };
    counted.end(&mut tx, who.account, right).await?;
    if !right {
        tx.commit().await?;
        return Err(wrong_code("/code"));
    }
    let reason = "second_factor_confirmed";
    let ended = end_other_sessions(&mut tx, who.account, who.session, reason).await?;
    let act = Act::new("account.second_factor_confirmed", "account", who.account);
    audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
    tx.commit().await?;
    Ok(())
}

/// What proves that somebody may give up a factor.
pub enum Given {
    Password(String),
    Code(String),
}

/// Removes a factor, or an enrolment that was not confirmed.
///
/// # Errors
/// `404` when there is none; `422` for a wrong password or code; `429` after too many.
pub async fn remove(realm: &Realm, who: &Principal, given: Given) -> Result<(), Problem> {
    let mut tx = match given {
        Given::Password(password) => again::prove(realm, who, "/password", password).await?.tx,
        Given::Code(code) => {
            let proof = Proof::of(realm, who.account, Offered::read(&code)).await?;
            let mut tx = realm.begin(who.actor()).await?;
            match judge::judge(&mut tx, realm, who.account, Some(proof)).await? {
                Judged::Passed => tx,
                Judged::Wrong | Judged::Wanted => {
                    tx.commit().await?;
                    return Err(wrong_code("/code"));
                }
            }
        }
    };
    if !store::remove(&mut tx, who.account).await? {
        return Err(Problem::not_found());
    }
    audit::record(&mut tx, Act::new("account.second_factor_removed", "account", who.account))
        .await?;
    tx.commit().await?;
    Ok(())
}

fn wrong_code(field: &str) -> Problem {
    let wrong = FieldError::body(field, "wrong_code", "this code is wrong, too old or used");
    Problem::invalid(vec![wrong])
}
