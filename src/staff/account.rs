//! Making an account, with the message that lets its owner in, and changing one.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::affected::{Affected, bookings_affected, bookings_of, in_the_way};
use super::model::{AccountStatus, AccountView, StaffRole};
use super::store;
use crate::audit::{self, Act};
use crate::auth::told::{self, What};
use crate::auth::{May, Permission, Role, links};
use crate::db::{self, Tx};
use crate::error::{FieldError, Problem};
use crate::ids::{AccountId, DoctorId, MessageId};
use crate::outbox;
use crate::tenancy::Clinic;

#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    #[error("somebody else signs in with that")]
    Taken(Vec<FieldError>),
    #[error("{0}")]
    Oneself(&'static str),
    #[error("this account is not active, or has a password already")]
    NobodyToInvite,
    #[error("this doctor has visits still to come")]
    BookingsAffected(Affected),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// What an account says of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub full_name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub language: Option<String>,
}

/// Somebody to be let in.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub role: StaffRole,
    pub owner: Change,
}

/// An account that was made.
#[derive(Debug)]
pub struct Invited {
    pub user: AccountView,
    /// Set when no mail can carry it.
    pub set_password_url: Option<String>,
}

/// Makes an account, and puts the message with its link. The transaction was opened for telling.
pub async fn create_account(
    tx: &mut Tx,
    clinic: &Clinic,
    new: &NewAccount,
) -> Result<Invited, StaffError> {
    refuse_taken(tx, &new.owner, None).await?;
    let id = AccountId::new();
    let user = store::insert(tx, id, new.role, &new.owner).await.map_err(taken_meanwhile)?;
    let act = Act::new("account.created", "account", id);
    audit::record(tx, act.details(json!({ "role": user.role }))).await?;
    let set_password_url = send_link(tx, clinic, id).await?;
    Ok(Invited { user, set_password_url })
}

/// Puts another message with another link, for somebody whose first was lost, or went astray. The transaction holds the
/// account's lock, and was opened for telling.
pub async fn invite_again(
    tx: &mut Tx,
    clinic: &Clinic,
    user: AccountView,
) -> Result<Invited, StaffError> {
    if user.status != AccountStatus::Active || store::has_password(tx, user.id).await? {
        return Err(StaffError::NobodyToInvite);
    }
    let set_password_url = send_link(tx, clinic, user.id).await?;
    audit::record(tx, Act::new("account.invited", "account", user.id)).await?;
    Ok(Invited { user, set_password_url })
}

/// Makes a link and puts the message that brings it; links and messages from before are void. Gives the link when no mail can
/// carry it.
async fn send_link(tx: &mut Tx, clinic: &Clinic, id: AccountId) -> sqlx::Result<Option<String>> {
    outbox::withdraw(&mut **tx, id.0).await?;
    let token = links::put(&mut **tx, id).await?;
    let invitation = links::invitation(&clinic.keys, id, &token, tx.now());
    if let Some(message) = outbox::put(&mut **tx, &invitation).await? {
        tx.note_message(MessageId(message));
    }
    Ok((!clinic.has_mail_provider()).then(|| links::url(&clinic.url, &token)))
}

/// An account, locked until the transaction ends; a patient's too.
pub async fn lock_account(tx: &mut Tx, id: AccountId) -> sqlx::Result<Option<AccountView>> {
    store::lock(tx, id).await
}

/// Replaces what an account says. Another role holds at once: the caller tells `Sessions` after the commit. A link that went to
/// another address is void; who has no password yet gets one at the new.
///
/// The transaction holds the account's lock: somebody who stops being a doctor may have visits still to come.
pub async fn change_account(
    tx: &mut Tx,
    clinic: &Clinic,
    before: &AccountView,
    new: &Change,
    role: Role,
    now: DateTime<Utc>,
) -> Result<AccountView, StaffError> {
    if before.is_staff() {
        refuse_taken(tx, new, Some(before.id)).await?;
    }
    if before.role == Role::Doctor && role != Role::Doctor {
        let bookings = bookings_of(tx, DoctorId(before.id.0), now, None).await?;
        if bookings.total > 0 {
            return Err(StaffError::BookingsAffected(bookings));
        }
        store::drop_doctor(tx, before.id).await?;
    }
    if before.role != Role::Doctor && role == Role::Doctor {
        store::put_doctor(tx, before.id).await?;
    }
    let after = store::update(tx, before.id, role, new).await.map_err(taken_meanwhile)?;
    let mut details = json!({ "changed": changed(before, &after) });
    if before.role != after.role {
        details["role"] = json!({ "from": before.role, "to": after.role });
    }
    audit::record(tx, Act::new("account.changed", "account", before.id).details(details)).await?;
    if before.is_staff() && before.email != after.email {
        for email in [&before.email, &after.email].into_iter().flatten() {
            told::tell_at(tx, &clinic.keys, before.id, What::EmailChanged, email).await?;
        }
        links::end(&mut **tx, before.id).await?;
        if after.status == AccountStatus::Active && !store::has_password(tx, before.id).await? {
            send_link(tx, clinic, before.id).await?;
        }
    }
    Ok(after)
}

/// Names everything that is taken at once; the indexes, which are the rule, would name the first only.
async fn refuse_taken(
    tx: &mut Tx,
    new: &Change,
    except: Option<AccountId>,
) -> Result<(), StaffError> {
    let (email, phone) = (new.email.as_deref(), new.phone.as_deref());
    let (email, phone) = store::taken(tx, email, phone, except).await?;
    if !email && !phone {
        return Ok(());
    }
    let errors = [email.then(|| taken("/email")), phone.then(|| taken("/phone"))];
    Err(StaffError::Taken(errors.into_iter().flatten().collect()))
}

/// Two admins wrote the same at the same time: the index tells the second.
fn taken_meanwhile(error: sqlx::Error) -> StaffError {
    match db::violated(&error) {
        Some("users_staff_email_key") => StaffError::Taken(vec![taken("/email")]),
        Some("users_staff_phone_key") => StaffError::Taken(vec![taken("/phone")]),
        _ => error.into(),
    }
}

fn taken(pointer: &str) -> FieldError {
    FieldError::body(pointer, "taken", "another member of staff signs in with this")
}

fn changed(before: &AccountView, after: &AccountView) -> Vec<&'static str> {
    [
        ("full_name", before.full_name != after.full_name),
        ("email", before.email != after.email),
        ("phone", before.phone != after.phone),
        ("language", before.language != after.language),
        ("role", before.role != after.role),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}

/// Why an account did not change. Ends the transaction; nothing of it stays.
pub async fn refused<P: Permission>(tx: Tx, who: &May<P>, error: StaffError) -> Problem {
    match error {
        StaffError::BookingsAffected(affected) => bookings_affected(tx, who, &affected).await,
        other => other.into(),
    }
}

impl From<StaffError> for Problem {
    fn from(error: StaffError) -> Self {
        let detail = error.to_string();
        match error {
            StaffError::Taken(errors) => Problem::invalid(errors),
            StaffError::Oneself(_) | StaffError::NobodyToInvite => {
                Problem::conflict("conflict", detail)
            }
            StaffError::BookingsAffected(affected) => in_the_way(&affected), // `refused` shows them
            StaffError::Db(error) => error.into(),
        }
    }
}
