//! A guess at a code. Every guess is counted before it is judged, by one statement; the right one opens a session in the same
//! transaction, so that a crash burns no code and two right answers make one session.

use serde_json::json;
use subtle::ConstantTimeEq;

use super::choose::{self, Choice};
use super::device;
use super::model::{self, Identifier, Purpose, Secret};
use super::people::{self, Candidate};
use super::store::{self, Guessed};
use crate::audit::Actor;
use crate::auth::enter;
use crate::auth::pair::Tokens;
use crate::auth::refusals::{self, Refusal};
use crate::auth::tries::place;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::limits::Limit;
use crate::ids::CodeRequestId;
use crate::tenancy::Clinic;

/// Wrong guesses for one identifier in a day, over all its requests.
const GUESSES: Limit = Limit::new("otp-guesses", 20, 24 * 3600);

/// What a right code brings.
pub enum Entered {
    In {
        tokens: Box<Tokens>,
        /// By which the device is recognised from now on.
        cookie: String,
    },
    /// A family shares the phone: who is it?
    Choose(Choice),
}

/// `401 otp-invalid`: wrong, expired, spent or never made, in the same words.
pub fn invalid() -> Problem {
    let mut wrong =
        Problem::unauthenticated("this code is wrong, too old or used; ask for a new one");
    wrong.name = "otp-invalid";
    wrong
}

/// Judges a guess.
///
/// # Errors
/// `401 otp-invalid`; `429` after twenty wrong guesses in a day.
pub async fn verify(
    clinic: &Clinic,
    id: CodeRequestId,
    code: &str,
    device: &str,
    actor: Actor,
) -> Result<Entered, Problem> {
    let mac = |purpose| model::code_mac(&clinic.keys, id, purpose, code);
    let (sign_in_mac, register_mac) = (mac(Purpose::SignIn), mac(Purpose::Register));
    let mut tx = clinic.begin(actor.clone()).await?;
    // The same statements for a request that never was: only what they find differs.
    let guessed = store::guessed(&mut tx, id).await?;
    let identifier_mac = guessed.as_ref().map(|guessed| guessed.identifier_mac.as_slice());
    store::lock(&mut tx, identifier_mac.unwrap_or(&sign_in_mac)).await?;
    let (wrong, wait) = store::guesses_today(&mut tx, identifier_mac.unwrap_or_default()).await?;
    // On record for the identifier, or where there is none for the network.
    let subject = identifier_mac.map_or_else(|| place(actor.address).into_bytes(), <[u8]>::to_vec);
    if wrong >= i64::from(GUESSES.quota) {
        tx.rollback().await?;
        note(clinic, actor, "session.limited", &subject).await;
        return Err(GUESSES.refuse(wait.unwrap_or(60.0), "too many wrong codes for today"));
    }
    let kept = store::guess(&mut tx, id, identifier_mac, &sign_in_mac, &register_mac).await?;
    let kept = kept.unwrap_or_else(|| vec![0; 32]);
    let right: bool = (kept.ct_eq(&sign_in_mac) | kept.ct_eq(&register_mac)).into();
    let secret = guessed.filter(|_| right).and_then(|guessed| open(clinic, id, guessed));
    let entered = match secret {
        Some(secret) => enter_with(clinic, &mut tx, id, secret, device).await?,
        None => None,
    };
    tx.commit().await?; // a wrong guess is counted, and a right one that lets nobody in is spent
    if entered.is_none() {
        note(clinic, actor, "session.refused", &subject).await;
    }
    entered.ok_or_else(invalid)
}

/// Notes that somebody was not let in by a code.
pub async fn note(clinic: &Clinic, actor: Actor, action: &'static str, subject: &[u8]) {
    let details = json!({ "by": "one_time_code" });
    let refusal = Refusal { action, subject, account: None, details };
    refusals::note(&clinic.realm, actor, refusal).await;
}

fn open(clinic: &Clinic, id: CodeRequestId, guessed: Guessed) -> Option<Secret> {
    Secret::open(&clinic.keys, &model::place(id), &guessed.payload_cipher?)
}

async fn enter_with(
    clinic: &Clinic,
    tx: &mut Tx,
    id: CodeRequestId,
    secret: Secret,
    device: &str,
) -> Result<Option<Entered>, Problem> {
    let candidates = match &secret.registering {
        None => people::candidates(tx, &secret.identifier).await?,
        Some(new) => {
            // Two registrations on one phone, one after the other: the second sees whom the first made.
            let whose = Identifier::Phone(new.phone.clone()).mac(&clinic.keys, None);
            store::lock(tx, &whose).await?;
            people::registered(tx, new).await?.into_iter().collect()
        }
    };
    let choices: Vec<Candidate> = match <[Candidate; 1]>::try_from(candidates) {
        Ok([one]) => {
            let tokens = enter::enter(tx, &clinic.realm, one.account, device).await?;
            let cookie = device::cookie(&clinic.realm, &secret.identifier);
            return Ok(tokens.map(|tokens| Entered::In { tokens: Box::new(tokens), cookie }));
        }
        Err(choices) if choices.is_empty() => return Ok(None),
        Err(choices) => choices,
    };
    Ok(Some(Entered::Choose(choose::offer(tx, id, choices).await?)))
}
