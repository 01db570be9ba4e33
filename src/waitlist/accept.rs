//! Saying yes: what kept the time gives way to the visit, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::reply::Offered;
use super::store;
use crate::appointments::{AppointmentView, BookError, Booker, freed, hold};
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::live;
use crate::outbox;

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("this time is not kept any more")]
    Over,
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<sqlx::Error> for AcceptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Book(error.into())
    }
}

/// Books the time that is kept. The transaction is one opened for telling, holds the locks of the doctor and the patient, and has
/// locked who waits; `offer` was read under them. After an error what it did has to be rolled back.
pub async fn accept(
    tx: &mut Tx,
    offer: &Offered,
    now: DateTime<Utc>,
) -> Result<AppointmentView, AcceptError> {
    if !offer.is_open(now) {
        return Err(AcceptError::Over);
    }
    let by = Booker { only_patient: None };
    let visit = hold::redeem(tx, offer.id, &offer.request(), by, now).await?;
    let visit = visit.ok_or(AcceptError::Over)?;
    store::end_offer(tx, offer.id, "accepted").await?;
    store::settle(tx, offer.waitlist_id, Some(visit.id)).await?;
    outbox::withdraw(&mut **tx, offer.id.0).await?;
    freed::look_again(tx, offer.id).await?; // the patient may wait for something else as well
    let act = Act::new("waitlist.accepted", "waitlist", offer.waitlist_id).about(offer.patient_id);
    let details = json!({ "offer_id": offer.id, "appointment_id": visit.id });
    audit::record(tx, act.details(details)).await?;
    live::note(tx, offer.event("waitlist.accepted", Some(visit.id))).await?;
    Ok(visit)
}
