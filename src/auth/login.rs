//! Signing in with a password. Unknown or known, right or wrong: the answer is the same in kind and in time.

use std::net::IpAddr;
use std::time::Duration;

use poem::http::StatusCode;
use serde_json::json;

use super::pair::{self, Tokens};
use super::refusals::{self, Refusal};
use super::second_factor::{self, Judged, Offered, Proof};
use super::{password, refresh_token, store};
use crate::audit::{self, Act, Actor};
use crate::crypto;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::limits::{self, Limit};
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// Failures that one (identifier, address) may have in the window.
const FAILED: Limit = Limit::new("login", 10, 15 * 60);
const WINDOW: Duration = FAILED.window;

/// What a caller brings.
pub struct Credentials {
    pub identifier: String,
    pub password: String,
    /// A code of the app, or a recovery code.
    pub second_factor: Option<String>,
    /// The device, as its `User-Agent` says.
    pub device: String,
}

/// Signs somebody in.
///
/// # Errors
/// `401 invalid-credentials`, or `429 rate-limited` after ten failures of this identifier from this address. After the right
/// password: `401 totp-required` and `401 totp-invalid` where the account has a second factor.
pub async fn login(realm: &Realm, given: Credentials, actor: Actor) -> Result<Tokens, Problem> {
    let mut conn = realm.read().await?;
    let who = store::folded(&mut conn, &given.identifier).await?;
    let account = store::account_by_identifier(&mut conn, &given.identifier).await?;
    let subject = subject(realm, &who, actor.address);
    let (failures, wait) = store::login_failures(&mut conn, &subject, WINDOW).await?;
    drop(conn); // not held across a hash
    let note = Noted { realm, subject, account: account.as_ref().map(|account| account.id) };
    if failures >= i64::from(FAILED.quota) {
        note.refusal("session.limited", actor, &who).await;
        return Err(too_many(wait));
    }
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = password::verify(realm.id, given.password, hash).await?;
    let known = account.as_ref().map(|account| account.id);
    let account = account.filter(|account| right && account.status == "active");
    let offered = given.second_factor.as_deref().map(Offered::read);
    let proof = match (offered, &account) {
        (Some(offered), Some(account)) => Some(Proof::of(realm, account.id, offered).await?),
        _ => None,
    };
    let session = SessionId::new();
    let actor = match &account {
        Some(account) => Actor {
            account: Some(account.id),
            role: Some(account.role.as_str()),
            session: Some(session),
            ..actor
        },
        None => actor,
    };
    // Guesses made at once are judged one after another: the eleventh learns nothing, not even that it was right.
    let mut tx = realm.begin(actor).await?;
    store::lock_failures(&mut tx, &subject).await?;
    let (failures, wait) = store::login_failures(&mut tx, &subject, WINDOW).await?;
    if failures >= i64::from(FAILED.quota) {
        let actor = unopened(tx.actor());
        tx.rollback().await?;
        note.refusal("session.limited", actor, &who).await;
        return Err(too_many(wait));
    }
    // Whoever set another password meanwhile, or shut the account, ended all its sessions: this would be one more.
    let account = match account {
        Some(account) => store::still_opens(&mut tx, &account).await?.then_some(account),
        None => None,
    };
    let Some(account) = account else {
        store::note_failure(&mut tx, &subject, WINDOW).await?;
        let act =
            Act { entity_id: known.map(Into::into), ..Act::unknown("session.refused", "account") };
        let details =
            json!({ "identifier_mac": identifier_mac(realm, &who), "failures": failures + 1 });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        let mut wrong = Problem::unauthenticated("no account has this identifier and password");
        wrong.name = "invalid-credentials";
        return Err(wrong);
    };
    match second_factor::judge(&mut tx, realm, account.id, proof).await {
        Ok(Judged::None | Judged::Passed) => {}
        // Whoever comes so far has the password: it is on record, whether a factor follows or not.
        Ok(Judged::Wanted) => {
            let actor = unopened(tx.actor());
            tx.rollback().await?;
            note.refusal("session.factor_wanted", actor, &who).await;
            return Err(second_factor::required());
        }
        Err(limited) if limited.status == StatusCode::TOO_MANY_REQUESTS => {
            let actor = unopened(tx.actor());
            tx.rollback().await?;
            note.refusal("session.limited", actor, &who).await;
            return Err(limited);
        }
        Err(other) => return Err(other),
        Ok(Judged::Wrong) => {
            tx.commit().await?;
            return Err(second_factor::invalid());
        }
    }
    open_session(&mut tx, session, account.id, &given.device).await?;
    store::forget_failures(&mut tx, &subject).await?;
    tx.commit().await?;
    Ok(pair::issue(realm, &account, session, 0))
}

/// Somebody who was not let in: there is no session, and whoever it is did not prove to be the account's owner.
fn unopened(actor: &Actor) -> Actor {
    Actor { account: None, role: None, session: None, ..actor.clone() }
}

/// For whom a sign-in is refused.
struct Noted<'a> {
    realm: &'a Realm,
    subject: [u8; 32],
    account: Option<AccountId>,
}

impl Noted<'_> {
    async fn refusal(&self, action: &'static str, actor: Actor, who: &str) {
        let details = json!({ "identifier_mac": identifier_mac(self.realm, who) });
        let Self { account, ref subject, .. } = *self;
        refusals::note(self.realm, actor, Refusal { action, subject, account, details }).await;
    }
}

/// Opens a session in the caller's transaction.
pub async fn open_session(
    tx: &mut Tx,
    session: SessionId,
    account: AccountId,
    device: &str,
) -> sqlx::Result<()> {
    let address = tx.actor().address;
    store::insert_session(tx, session, account, device, address, refresh_token::LIFETIME).await?;
    audit::record(
        tx,
        Act::new("session.opened", "session", session).details(json!({ "device": device })),
    )
    .await
}

/// Failures are counted by identifier and address together, so that nobody can lock somebody else out; kept keyed, so that the
/// table tells no identifiers. Never by account: who is refused by another name than he tried would know that they are one's.
/// (Who has two names may be tried twenty times.)
fn subject(realm: &Realm, who: &str, address: Option<IpAddr>) -> [u8; 32] {
    let address = address.and_then(limits::network);
    let address = address.map(|network| network.to_string()).unwrap_or_default();
    let said = format!("login\0{who}\0{address}");
    crypto::mac(&realm.keys.blind_index, said.as_bytes())
}

/// Tells whether two refusals were of the same identifier, without telling which: what somebody typed there may be a password.
fn identifier_mac(realm: &Realm, who: &str) -> String {
    let said = format!("refused\0{who}");
    let mac = crypto::mac(&realm.keys.blind_index, said.as_bytes());
    mac[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn too_many(wait: Option<f64>) -> Problem {
    FAILED.refuse(wait.unwrap_or(60.0), "too many failed sign-ins; wait, or set a new password")
}
