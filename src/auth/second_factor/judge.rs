//! Judging what somebody offers as a second factor. A wrong one is counted for the account at that address: five in a quarter of
//! an hour, so that nobody can lock somebody else out. Who guesses from many addresses meets a second count, over all of them,
//! which those whom the account was let in from lately pass by.

use serde_json::json;

use super::recovery::RecoveryCode;
use super::{store, totp};
use crate::audit::{self, Act};
use crate::auth::tries::{self, Tries};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::limits::Limit;
use crate::ids::AccountId;
use crate::tenancy::Realm;

const WRONG: Limit = Limit::new("second-factor", 5, 15 * 60);
const WRONG_ANYWHERE: Limit = Limit::new("second-factor-anywhere", 50, 24 * 3600);
const WORDS: &str = "too many wrong codes; wait a while";

/// What somebody offers: a code of the app, or a recovery code.
pub enum Offered {
    App(String),
    Recovery(RecoveryCode),
    /// Neither: wrong, and counted as such.
    Nonsense,
}

impl Offered {
    pub fn read(text: &str) -> Self {
        let digits = text.replace([' ', '-'], "");
        if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Offered::App(digits);
        }
        RecoveryCode::parse(text).map_or(Offered::Nonsense, Offered::Recovery)
    }
}

/// What is known of an offer before the transaction that judges it: no connection is held across a hash.
pub enum Proof {
    App(String),
    /// The recovery code, with the hash that it is of, if it is of any.
    Recovery {
        n: i16,
        hash: Option<String>,
    },
    Wrong,
}

impl Proof {
    /// Does the hashing.
    pub async fn of(realm: &Realm, account: AccountId, offered: Offered) -> Result<Self, Problem> {
        Ok(match offered {
            Offered::App(code) => Proof::App(code),
            Offered::Nonsense => Proof::Wrong,
            Offered::Recovery(code) => {
                let n = code.n();
                let mut conn = realm.read().await?;
                let hash = store::recovery_hash(&mut conn, account, n).await?;
                drop(conn);
                let right = code.proves(realm.id, hash.clone()).await?;
                Proof::Recovery { n, hash: hash.filter(|_| right) }
            }
        })
    }
}

/// What came of it.
pub enum Judged {
    /// The account has no second factor.
    None,
    /// This is it.
    Passed,
    /// It has one, and nothing was offered.
    Wanted,
    /// Counted: the caller commits.
    Wrong,
}

/// `401 totp-required`
pub fn required() -> Problem {
    let mut wanted = Problem::unauthenticated("this account has a second factor: send `totp_code`");
    wanted.name = "totp-required";
    wanted
}

/// `401 totp-invalid`
pub fn invalid() -> Problem {
    let mut wrong = Problem::unauthenticated("this code is wrong, too old or used");
    wrong.name = "totp-invalid";
    wrong
}

/// Judges what was offered, and spends it. Whoever asks has proved to be this account's owner in another way before.
///
/// # Errors
/// `429` after five wrong ones from here.
pub async fn judge(
    tx: &mut Tx,
    realm: &Realm,
    account: AccountId,
    proof: Option<Proof>,
) -> Result<Judged, Problem> {
    let Some(factor) = store::factor(tx, account).await?.filter(|factor| factor.confirmed) else {
        return Ok(Judged::None);
    };
    let Some(proof) = proof else { return Ok(Judged::Wanted) };
    let counted = Counted::begin(tx, realm, account).await?;
    let right = match proof {
        Proof::App(code) => {
            let secret = open(realm, account, &factor.secret_cipher)?;
            match totp::step_of(&secret, &code, realm.clock.now()) {
                Some(step) => store::spend_step(tx, account, step).await?,
                None => false,
            }
        }
        Proof::Recovery { n, hash: Some(hash) } => {
            let spent = store::spend_recovery_code(tx, account, n, &hash).await?;
            if spent {
                let act = Act::new("account.recovery_code_used", "account", account);
                audit::record(tx, act.details(json!({ "n": n }))).await?;
            }
            spent
        }
        Proof::Recovery { hash: None, .. } | Proof::Wrong => false,
    };
    counted.end(tx, account, right).await?;
    Ok(if right { Judged::Passed } else { Judged::Wrong })
}

/// The guesses at an account's factor, as they stand for somebody at this address.
pub struct Counted {
    here: Tries,
    anywhere: Tries,
}

impl Counted {
    /// # Errors
    /// `429`
    pub async fn begin(tx: &mut Tx, realm: &Realm, account: AccountId) -> Result<Self, Problem> {
        let address = tx.actor().address;
        let here = Tries::of(realm, &WRONG, &tries::at_address(account, address), WORDS);
        let anywhere = Tries::of(realm, &WRONG_ANYWHERE, &account.to_string(), WORDS);
        tries::lock_all(tx, &[&here, &anywhere]).await?;
        here.require_one(tx).await?;
        if !store::is_usual(tx, account, address).await? {
            anywhere.require_one(tx).await?;
        }
        Ok(Self { here, anywhere })
    }

    /// Counts a wrong one; a right one ends the count here.
    pub async fn end(self, tx: &mut Tx, account: AccountId, right: bool) -> sqlx::Result<()> {
        if right {
            return self.here.forget(tx).await;
        }
        self.here.note(tx).await?;
        self.anywhere.note(tx).await?;
        audit::record(tx, Act::new("account.second_factor_refused", "account", account)).await
    }
}

/// The secret of a factor.
pub fn open(realm: &Realm, account: AccountId, sealed: &[u8]) -> Result<Vec<u8>, Problem> {
    realm.keys.fields.open(&store::place(account), sealed).map_err(Problem::internal)
}
