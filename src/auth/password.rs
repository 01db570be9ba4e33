//! Passwords: argon2id, hashed by as many workers as there are cores, so that a rush of sign-ins neither takes all memory
//! nor starves everything else. No connection is held meanwhile.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::http::fields::{Fault, verbatim};

static WORKERS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(2, |cores| cores.get()))
});

/// Stands in for an account that does not exist, so that its answer takes as long.
static NOBODYS_HASH: LazyLock<String> = LazyLock::new(|| hash_now("nobody's password"));

fn hash_now(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the default parameters are good for any password")
        .to_string()
}

async fn on_a_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = WORKERS.acquire().await.expect("never closed");
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

/// The hash to keep, in PHC form.
pub async fn hash(password: String) -> String {
    on_a_worker(move || hash_now(&password)).await
}

/// True when the password is the one that was hashed. Without a hash it takes as long and is false.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    on_a_worker(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS_HASH.clone());
        let Ok(parsed) = PasswordHash::new(&hash) else { return false };
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known
    })
    .await
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
