//! Leaving the list; and what is written of joining and leaving.

use serde_json::json;

use super::end::{WITHDRAWN, end};
use super::model::{Status, WaitlistView};
use super::store;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::error::Problem;
use crate::live;

#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("it has come to a visit")]
    Booked,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Takes somebody off the list, and passes on what is offered to him. The transaction is one opened for telling, holds the locks of
/// the patient and of the doctor whose time is kept, and has locked the entry. Done again it changes nothing.
pub async fn leave(tx: &mut Tx, standing: &WaitlistView) -> Result<(), LeaveError> {
    match standing.status {
        Status::Withdrawn => return Ok(()),
        Status::Booked => return Err(LeaveError::Booked),
        Status::Waiting | Status::Offered | Status::Expired => {}
    }
    store::settle(tx, standing.id, None).await?;
    if let Some(open) = &standing.offer
        && let Some(offer) = store::offered(tx, open.id).await?
    {
        end(tx, &offer, WITHDRAWN).await?;
    }
    Ok(record(tx, "waitlist.left", standing).await?)
}

/// Writes what happened to an entry, for the audit log and for those who watch.
pub async fn record(tx: &mut Tx, action: &'static str, view: &WaitlistView) -> sqlx::Result<()> {
    let act = Act::new(action, "waitlist", view.id).about(view.patient_id);
    let details = json!({ "doctor_id": view.doctor_id, "specialty": view.specialty });
    audit::record(tx, act.details(details)).await?;
    let event = live::Event {
        kind: action,
        doctor_id: view.doctor_id,
        patient_id: Some(view.patient_id),
        location_id: view.location_id,
        details: json!({ "waitlist_id": view.id }),
        ..live::Event::default()
    };
    live::note(tx, event).await
}

impl From<LeaveError> for Problem {
    fn from(error: LeaveError) -> Self {
        let detail = error.to_string();
        match error {
            LeaveError::Booked => Problem::conflict("illegal-transition", detail)
                .with("from", Status::Booked.as_str())
                .with("to", Status::Withdrawn.as_str()),
            LeaveError::Db(error) => error.into(),
        }
    }
}
