//! The owner of an account is told by e-mail what was done to it: whoever did it, with a stolen session or in an admin's name,
//! cannot keep it quiet. The letter commits with the change, and goes to the address that stood when it was made. Clinics' hosts
//! alone: the platform sends no mail.

use chrono::TimeDelta;

use super::store;
use crate::actor::Actor;
use crate::crypto::ClinicKeys;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::Context;
use crate::ids::{AccountId, MessageId, new_uuid};
use crate::outbox::{self, NewMessage};

/// For so long a letter is tried; who hears of it later than that has seen it otherwise.
const LIFETIME: TimeDelta = TimeDelta::days(3);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    PasswordChanged,
    SecondFactorAdded,
    SecondFactorRemoved,
    RecoveryCodesMade,
    EmailChanged,
}

impl What {
    fn message(self) -> &'static str {
        match self {
            What::PasswordChanged => "account.password_changed",
            What::SecondFactorAdded => "account.second_factor_added",
            What::SecondFactorRemoved => "account.second_factor_removed",
            What::RecoveryCodesMade => "account.recovery_codes_made",
            What::EmailChanged => "account.email_changed",
        }
    }
}

/// A transaction in which somebody may be told: at a clinic one that puts messages.
pub async fn begin(at: &Context, actor: Actor) -> Result<Tx, Problem> {
    match &at.clinic {
        Some(clinic) => clinic.begin_telling(actor, &[]).await,
        None => at.realm.begin(actor).await,
    }
}

/// Tells an account's owner, at the address that the account has. On the platform nobody can be told.
pub async fn tell(tx: &mut Tx, at: &Context, account: AccountId, what: What) -> sqlx::Result<()> {
    let Some(clinic) = &at.clinic else { return Ok(()) };
    let owner = store::account_by_id(tx, account).await?;
    match owner.and_then(|owner| owner.email) {
        Some(email) => tell_at(tx, &clinic.keys, account, what, &email).await,
        None => Ok(()),
    }
}

/// As [`tell`], at this address: one that the account has no more. The transaction was opened for telling.
pub async fn tell_at(
    tx: &mut Tx,
    keys: &ClinicKeys,
    account: AccountId,
    what: What,
    email: &str,
) -> sqlx::Result<()> {
    let id = new_uuid();
    let dedupe_key = format!("{}:{account}:{id}", what.message());
    let letter = NewMessage {
        purpose: what.message().to_owned(),
        subject_id: id, // of its own: what withdraws an account's links does not withdraw this
        patient_id: None,
        user_id: Some(account.0),
        payload_cipher: Some(
            keys.fields.seal(&outbox::payload_place(&dedupe_key), email.as_bytes()),
        ),
        channels: Vec::new(),
        due_at: tx.now(),
        expires_at: tx.now() + LIFETIME,
        dedupe_key,
    };
    if let Some(message) = outbox::put(&mut **tx, &letter).await? {
        tx.note_message(MessageId(message));
    }
    Ok(())
}
