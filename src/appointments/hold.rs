//! Holding: a time is kept for somebody who has not said yes. It claims the doctor and the resources as a visit would, until an
//! instant; then whoever books takes it. Whoever says yes in time is booked in the transaction that releases the hold.

use chrono::{DateTime, Utc};

use super::book::{BookError, Booker, decide};
use super::model::AppointmentRequest;
use super::store::{self, Claimer};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{HoldId, LocationId};

/// A time that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: HoldId,
    pub span: Span,
    pub location_id: LocationId,
}

/// Keeps a time until an instant, or says why it cannot be booked. The transaction holds the locks of the visit's subjects
/// ([`AppointmentRequest::subjects`]). The patient's own time is not taken: a second offer for the same hour may be made.
///
/// # Errors
/// As booking it would be.
pub async fn hold(
    tx: &mut Tx,
    wanted: &AppointmentRequest,
    by: Booker,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Held, BookError> {
    let decided = decide(tx, wanted, by, None, now).await?;
    let mut claims = decided.claims;
    claims.retain(|claim| claim.subject != wanted.patient_id.0);
    let id = HoldId::new();
    if store::claim(tx, Claimer::Hold(id, until), &claims).await? < claims.len() as u64 {
        return Err(BookError::SlotTaken);
    }
    Ok(Held { id, span: decided.span, location_id: decided.location_id })
}

/// Gives a kept time back: before its visit is booked in the same transaction, or because nobody wants it. False when it is gone
/// already. The transaction holds the locks of its subjects.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, id: HoldId) -> sqlx::Result<bool> {
    store::release_hold(tx, id).await
}
