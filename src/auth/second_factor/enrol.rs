//! Getting a second factor and giving it up. Both ask for more than a session, which may be stolen.

use serde_json::json;

use super::judge::{self, Counted, Judged, Offered, Proof, open};
use super::recovery::{self, RecoveryCode};
use super::{store, totp};
use crate::audit::{self, Act};
use crate::auth::may::Principal;
use crate::auth::passwords::{again, end_other_sessions};
use crate::auth::told::{self, What};
use crate::crypto;
use crate::db::Tx;
use crate::error::{FieldError, Problem};
use crate::http::context::Context;
use crate::ids::AccountId;
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
    at: &Context,
    who: &Principal,
    issuer: &str,
    password: String,
) -> Result<Begun, Problem> {
    let realm = &at.realm;
    let proved = again::prove(at, who, "/password", password).await?;
    proved.tx.commit().await?; // no connection is held across a hash
    let mut conn = realm.read().await?;
    if store::factor(&mut conn, who.account).await?.is_some_and(|factor| factor.confirmed) {
        return Err(enrolled_already());
    }
    let email = crate::auth::store::account_by_id(&mut conn, who.account).await?;
    let email = email.and_then(|account| account.email).ok_or_else(Problem::not_found)?;
    drop(conn);
    let (codes, hashes) = new_codes(realm).await?;
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
        recovery_codes: codes,
    })
}

/// Ten codes as they are shown, and their hashes.
async fn new_codes(realm: &Realm) -> Result<(Vec<String>, Vec<String>), Problem> {
    let codes: Vec<RecoveryCode> = (0..recovery::COUNT).map(RecoveryCode::generate).collect();
    let mut hashes = Vec::with_capacity(codes.len());
    for code in &codes {
        hashes.push(code.hash(realm.id).await?);
    }
    Ok((codes.iter().map(RecoveryCode::shown).collect(), hashes))
}

/// Makes ten other recovery codes; those from before are worth nothing.
///
/// # Errors
/// `404` without a confirmed factor; `422` for a wrong password or code; `429` after too many.
pub async fn renew_codes(
    at: &Context,
    who: &Principal,
    given: Given,
) -> Result<Vec<String>, Problem> {
    prove(at, who, given).await?.commit().await?; // no connection is held across a hash
    let (codes, hashes) = new_codes(&at.realm).await?;
    let mut tx = told::begin(at, who.actor()).await?;
    if !store::lock_confirmed(&mut tx, who.account).await? {
        return Err(Problem::not_found());
    }
    store::put_recovery_codes(&mut tx, who.account, &hashes).await?;
    let act = Act::new("account.recovery_codes_made", "account", who.account);
    audit::record(&mut tx, act).await?;
    told::tell(&mut tx, at, who.account, What::RecoveryCodesMade).await?;
    tx.commit().await?;
    Ok(codes)
}

fn enrolled_already() -> Problem {
    Problem::conflict("conflict", "there is a second factor already; remove it first")
}

/// Confirms that the app has the secret. Every other session ends: it was opened without.
///
/// # Errors
/// `409` when nothing waits for it; `422` for a wrong code; `429` after five.
pub async fn confirm(at: &Context, who: &Principal, code: &str) -> Result<(), Problem> {
    let realm = &at.realm;
    let mut tx = told::begin(at, who.actor()).await?;
    // Before all else, as a sign-in holds the account before it looks for a factor: one that found none is over by now, and its
    // session is among those that end below.
    crate::auth::store::lock_account(&mut tx, who.account).await?;
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
    told::tell(&mut tx, at, who.account, What::SecondFactorAdded).await?;
    tx.commit().await?;
    Ok(())
}

/// What proves that it is still the owner of a session who asks.
pub enum Given {
    Password(String),
    Code(String),
}

/// Proves that it is the owner, in a transaction in which somebody may be told. A code of the app is spent by it.
///
/// # Errors
/// `422` for a wrong password or code, also for a code where there is no factor; `429` after too many.
pub async fn prove(at: &Context, who: &Principal, given: Given) -> Result<Tx, Problem> {
    let realm = &at.realm;
    let code = match given {
        Given::Password(password) => {
            return Ok(again::prove(at, who, "/password", password).await?.tx);
        }
        Given::Code(code) => code,
    };
    let proof = Proof::of(realm, who.account, Offered::read(&code)).await?;
    let mut tx = told::begin(at, who.actor()).await?;
    match judge::judge(&mut tx, realm, who.account, Some(proof)).await? {
        Judged::Passed => Ok(tx),
        Judged::None => Err(wrong_code("/code")),
        Judged::Wrong | Judged::Wanted => {
            tx.commit().await?;
            Err(wrong_code("/code"))
        }
    }
}

/// Gives up one's own factor, or an enrolment that was not confirmed.
///
/// # Errors
/// `404` when there is none; as [`prove`].
pub async fn remove(at: &Context, who: &Principal, given: Given) -> Result<(), Problem> {
    if store::factor(&mut at.realm.read().await?, who.account).await?.is_none() {
        return Err(Problem::not_found());
    }
    let mut tx = prove(at, who, given).await?;
    take_away(&mut tx, at, who.account).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes an account's factor away, and tells its owner. Who was only about to have one is not told.
///
/// # Errors
/// `404` when there is none.
pub async fn take_away(tx: &mut Tx, at: &Context, account: AccountId) -> Result<(), Problem> {
    let confirmed = store::remove(tx, account).await?.ok_or_else(Problem::not_found)?;
    audit::record(tx, Act::new("account.second_factor_removed", "account", account)).await?;
    if confirmed {
        told::tell(tx, at, account, What::SecondFactorRemoved).await?;
    }
    Ok(())
}

fn wrong_code(field: &str) -> Problem {
    let wrong = FieldError::body(field, "wrong_code", "this code is wrong, too old or used");
    Problem::invalid(vec![wrong])
}
