//! Passwords: argon2id, hashed where it slows nothing else (`hashing.rs`). No connection is held meanwhile.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use uuid::Uuid;

use super::hashing::Hashers;
use crate::error::Problem;
use crate::http::fields::{Fault, verbatim};

static HASHERS: LazyLock<Hashers> = LazyLock::new(Hashers::beside_the_rest);

/// Stands in for an account that does not exist, so that its answer takes as long. Nobody knows of which password it is.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$btMVtXXE/sjmLETpzTu6UgbrtBBaoIrXuUZFhJmGbCg";

/// The hash to keep, in PHC form: at once, on this thread.
pub fn hash_now(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the default parameters are good for any password")
        .to_string()
}

/// As [`hash_now`], when it is this realm's turn.
///
/// # Errors
/// `503 busy`
pub async fn hash(realm: Uuid, password: String) -> Result<String, Problem> {
    HASHERS.run(realm, move || hash_now(&password)).await
}

/// True when the password is the one that was hashed. Without a hash it takes as long and is false.
///
/// # Errors
/// `503 busy`
pub async fn verify(realm: Uuid, password: String, hash: Option<String>) -> Result<bool, Problem> {
    let verify = move || {
        let known = hash.is_some();
        let Ok(parsed) = PasswordHash::new(hash.as_deref().unwrap_or(NOBODYS_HASH)) else {
            return false;
        };
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known
    };
    HASHERS.run(realm, verify).await
}

/// Reads a new password: 10 to 256 characters of any script, not one of those that are guessed first.
pub fn new_password(value: serde_json::Value) -> Result<String, Fault> {
    let password = verbatim(10, 256)(value)?;
    // A hundred thousand guesses is what an attacker tries in minutes.
    if zxcvbn::zxcvbn(&password, &[]).guesses() < 100_000 {
        return Err(Fault(
            "too_common",
            "this password is among the first that are guessed".into(),
        ));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nobodys_hash_costs_what_everybodys_does() {
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(NOBODYS_HASH), cost(&hash_now("monsoon harvest lamp")));
        assert!(PasswordHash::new(NOBODYS_HASH).is_ok());
    }

    #[test]
    fn what_everybody_guesses_is_refused_in_any_length() {
        for common in ["1234567890", "password12", "qwertyuiop", "aaaaaaaaaaaaaaaa", "iloveyou12"] {
            assert_eq!(new_password(json!(common)).unwrap_err().0, "too_common", "{common}");
        }
        for good in ["vaidya-tulasi-42", "कमल का फूल सुबह", "monsoon harvest lamp"]
        {
            assert!(new_password(json!(good)).is_ok(), "{good}");
        }
        assert_eq!(new_password(json!("short")).unwrap_err().0, "too_short");
    }
}
