//! Letting somebody go, for a while or for good: every session ends with the change itself.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::account::StaffError;
use super::affected::{Resolve, bookings_of};
use super::model::{AccountStatus, AccountView};
use super::store;
use crate::audit::{self, Act};
use crate::auth::{Role, sessions};
use crate::db::Tx;
use crate::ids::DoctorId;
use crate::outbox;

/// Suspends, bans, or lets in again. The transaction holds the account's lock; the caller tells `Sessions` after the commit.
pub async fn set_status(
    tx: &mut Tx,
    before: &AccountView,
    status: AccountStatus,
    resolve: Option<Resolve>,
    now: DateTime<Utc>,
) -> Result<AccountView, StaffError> {
    if before.status == status {
        return Ok(before.clone());
    }
    let mut details = json!({ "from": before.status.as_str(), "to": status.as_str() });
    if before.role == Role::Doctor && before.status == AccountStatus::Active {
        let bookings = bookings_of(tx, DoctorId(before.id.0), now, None).await?;
        match resolve {
            None if bookings.total > 0 => return Err(StaffError::BookingsAffected(bookings)),
            None => {}
            Some(Resolve::Keep) => details["bookings_kept"] = json!(bookings.total),
        }
    }
    let after = store::set_status(tx, before.id, status).await?;
    if status != AccountStatus::Active {
        sessions::end_all(tx, before.id, status.as_str()).await?;
    }
    let act = Act::new("account.status_changed", "account", before.id);
    audit::record(tx, act.details(details)).await?;
    Ok(after)
}

/// Takes an account from sight, a doctor's profile with it. What they did here stays. The transaction holds the account's
/// lock; the caller tells `Sessions` after the commit.
pub async fn remove_account(
    tx: &mut Tx,
    before: &AccountView,
    now: DateTime<Utc>,
) -> Result<(), StaffError> {
    if before.role == Role::Doctor {
        let bookings = bookings_of(tx, DoctorId(before.id.0), now, None).await?;
        if bookings.total > 0 {
            return Err(StaffError::BookingsAffected(bookings));
        }
        store::drop_doctor(tx, before.id).await?;
    }
    store::delete(tx, before.id).await?;
    sessions::end_all(tx, before.id, "account_deleted").await?;
    outbox::withdraw(&mut **tx, before.id.0).await?;
    audit::record(tx, Act::new("account.deleted", "account", before.id)).await?;
    Ok(())
}
