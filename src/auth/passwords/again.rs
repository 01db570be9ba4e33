//! Asking somebody who is signed in for the password once more, before something that a stolen session must not do. Wrong ones
//! are counted for the account, wherever they come from: only its own sessions can make any.

use super::store;
use crate::audit::{self, Act};
use crate::auth::may::Principal;
use crate::auth::password;
use crate::auth::told;
use crate::auth::tries::Tries;
use crate::db::Tx;
use crate::error::{FieldError, Problem};
use crate::http::context::Context;
use crate::http::limits::Limit;

const WRONG: Limit = Limit::new("password", 10, 15 * 60);

/// A transaction in which the password has been proved and somebody may be told, and the hash that it was.
pub struct Proved {
    pub tx: Tx,
    pub hash: String,
}

/// Proves the password of who asks. `field` is where it stands in the request.
///
/// # Errors
/// `422` with code `wrong_password`; `429` after ten of them in a quarter of an hour.
pub async fn prove(
    at: &Context,
    who: &Principal,
    field: &str,
    given: String,
) -> Result<Proved, Problem> {
    let realm = &at.realm;
    let tries = Tries::of(
        realm,
        &WRONG,
        &who.account.to_string(),
        "too many wrong passwords; wait, or set a new one",
    );
    let mut tx = realm.begin(who.actor()).await?;
    tries.require_one(&mut tx).await?;
    let hash = store::password_hash(&mut tx, who.account).await?;
    tx.rollback().await?; // no connection is held across a hash
    let right = password::verify(realm.id, given, hash.clone()).await?;
    let mut tx = told::begin(at, who.actor()).await?;
    // Guesses made at once are judged one after another.
    tries.lock(&mut tx).await?;
    tries.require_one(&mut tx).await?;
    match hash.filter(|_| right) {
        Some(hash) => {
            tries.forget(&mut tx).await?;
            Ok(Proved { tx, hash })
        }
        None => {
            tries.note(&mut tx).await?;
            audit::record(&mut tx, Act::new("account.password_refused", "account", who.account))
                .await?;
            tx.commit().await?;
            let wrong = FieldError::body(field, "wrong_password", "this is not your password");
            Err(Problem::invalid(vec![wrong]))
        }
    }
}
