//! Holding: a time is kept for somebody who has not said yes. It claims the doctor and the resources as a visit would, until an
//! instant; then whoever books takes it. Whoever says yes in time is booked on the seats that were kept.

use chrono::{DateTime, Utc};

use super::book::{BookError, Booker, Word, decide, decide_kept, write};
use super::cancel::promote;
use super::model::{AppointmentRequest, AppointmentView};
use super::store::{self, Claimer};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{DoctorId, HoldId, LocationId};

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

/// Books what was kept, on the seats that were kept: what came to be beside it meanwhile does not matter. `None` when it is kept no
/// more. The transaction, opened for telling, holds the locks of the visit's subjects.
///
/// # Errors
/// When the patient has another visit then, or the doctor does not sit there any more.
pub async fn redeem(
    tx: &mut Tx,
    id: HoldId,
    wanted: &AppointmentRequest,
    by: Booker,
    now: DateTime<Utc>,
) -> Result<Option<AppointmentView>, BookError> {
    let kept = store::take_hold(tx, id).await?;
    if kept.is_empty() {
        return Ok(None);
    }
    let decided = decide_kept(tx, wanted, by, kept, now).await?;
    write(tx, wanted, decided, None, Word::Given, now).await.map(Some)
}

/// Gives a kept time of a doctor's back, if it is kept yet; whoever was squeezed in beside it moves up. The transaction holds the
/// locks of its subjects.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, id: HoldId, doctor: DoctorId, during: Span) -> sqlx::Result<()> {
    store::take_hold(tx, id).await?;
    promote(tx, doctor, during).await
}
