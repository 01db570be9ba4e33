//! Reopening: a wrong click, a cancel that was none, a patient who comes late after all. The visit goes back by one step, if that
//! step was of today.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::ahead;
use super::book::{BookError, Booker, decide};
use super::history::{self, What};
use super::model::{AppointmentRequest, AppointmentView, Event, Overbook, Status};
use super::store::{self, Claimer};
use super::tell::{show, tell};
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::outbox;
use crate::time;

#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    #[error("a visit that is booked has nothing to undo")]
    NothingToUndo,
    #[error("only a step of today can be undone")]
    NotOfToday,
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<sqlx::Error> for ReopenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Book(error.into())
    }
}

/// What must be free for a visit to have its time again: what it had. One that was doubled on purpose may be so again.
pub(super) fn wanted_again(
    visit: &AppointmentView,
    overbook: Option<String>,
) -> AppointmentRequest {
    AppointmentRequest {
        patient_id: visit.patient_id,
        doctor_id: visit.doctor_id,
        location_id: Some(visit.location_id),
        kind: visit.kind,
        starts_at: visit.starts_at,
        duration_minutes: Some(visit.duration_minutes),
        reason: Some(visit.reason.clone()),
        address: Some(visit.address.clone()).filter(|address| !address.is_empty()),
        resource_ids: Some(visit.resource_ids.clone()),
        overbook: overbook.map(|reason| Overbook { reason }),
    }
}

/// Goes back by one step. The transaction holds the locks of all that the visit takes; `zone` is its location's.
pub async fn reopen(
    tx: &mut Tx,
    standing: &AppointmentView,
    reason: &str,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<AppointmentView, ReopenError> {
    if standing.status == Status::Booked {
        return Err(ReopenError::NothingToUndo);
    }
    let last = history::last_step(tx, standing.id, standing.status).await?;
    let (before, at) = last.unwrap_or((usually_before(standing.status), standing.updated_at));
    if time::date_in(zone, at) != time::date_in(zone, now) {
        return Err(ReopenError::NotOfToday);
    }
    let had_no_time = matches!(standing.status, Status::Cancelled | Status::NoShow);
    if had_no_time {
        let overbooked = store::overbook_reason(tx, standing.id).await?;
        let wanted = wanted_again(standing, overbooked);
        let decided =
            decide(tx, &wanted, Booker { only_patient: None }, Some(standing.id), now).await?;
        let claims = &decided.claims;
        if store::claim(tx, Claimer::Visit(standing.id), claims).await? < claims.len() as u64 {
            return Err(BookError::SlotTaken.into());
        }
    }
    let after = store::set_status(tx, standing.id, before).await?;
    history::note(tx, What::Reopened, Some(standing), &after, Some(reason)).await?;
    let details =
        json!({ "from": standing.status.as_str(), "to": before.as_str(), "reason": reason });
    let act = Act::new(What::Reopened.action(), "appointment", after.id).about(after.patient_id);
    audit::record(tx, act.details(details)).await?;
    show(tx, What::Reopened.action(), &after, &[]).await?;
    outbox::withdraw(&mut **tx, after.id.0).await?;
    if matches!(before, Status::Booked | Status::Confirmed) {
        ahead::put(tx, &after).await?;
    }
    // Who was told that it is cancelled hears that it stands.
    if standing.status == Status::Cancelled {
        tell(tx, Event::Booked, &after, after.starts_at).await?;
    }
    Ok(after)
}

/// For visits that are older than their history.
fn usually_before(status: Status) -> Status {
    match status {
        Status::InConsultation => Status::CheckedIn,
        Status::Completed => Status::InConsultation,
        _ => Status::Booked,
    }
}
