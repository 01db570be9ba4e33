//! Moving a visit: in one step, so that the old time is given up only if the new one is had.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::ahead;
use super::book::{BookError, Booker, decide_choice};
use super::cancel::promote;
use super::freed;
use super::history::{self, What};
use super::model::{AppointmentRequest, AppointmentView, Event, Status};
use super::store::{self, Claimer};
use super::tell::{show, tell};
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::ids::ResourceId;
use crate::outbox;

#[derive(Debug, thiserror::Error)]
pub enum RescheduleError {
    #[error("a visit that is {} cannot be moved", .0.as_str())]
    IllegalTransition(Status),
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<sqlx::Error> for RescheduleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Book(error.into())
    }
}

/// Replaces a visit by what is asked for. The transaction holds the locks of the old doctor, the new one and the patient.
///
/// A visit whose time, doctor and place stay as they are keeps its claims, and the patient hears nothing.
pub async fn reschedule(
    tx: &mut Tx,
    standing: &AppointmentView,
    new: &AppointmentRequest,
    by: Booker,
    now: DateTime<Utc>,
) -> Result<AppointmentView, RescheduleError> {
    if !standing.status.may_move() {
        return Err(RescheduleError::IllegalTransition(standing.status));
    }
    let new = new.clone().keeping(standing);
    let minutes = new.duration_minutes.unwrap_or(standing.duration_minutes);
    let in_time = standing.doctor_id == new.doctor_id
        && standing.starts_at == new.starts_at
        && standing.duration_minutes == minutes
        && new.location_id.is_none_or(|location| location == standing.location_id);
    let same = |ids: &[ResourceId]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids
    };
    // Another kind of visit may keep more free around it.
    let stays = in_time
        && standing.kind == new.kind
        && same(&standing.resource_ids) == same(new.resources());
    let mut view = AppointmentView {
        kind: new.kind,
        reason: new.reason.clone().unwrap_or_default(),
        address: new.address.clone().unwrap_or_default(),
        resource_ids: new.resources().to_vec(),
        ..standing.clone()
    };
    if stays {
        (view.updated_at, view.version) = store::describe(tx, &view).await?;
        show(tx, "appointment.changed", &view, &[]).await?;
        history::note(tx, What::Described, Some(standing), &view, None).await?;
        record(tx, &view, "appointment.changed").await?;
        return Ok(view);
    }
    if !in_time && new.starts_at <= now {
        return Err(BookError::in_the_past().into());
    }
    let decided = decide_choice(tx, &new, by, Some(standing), now).await?;
    // The doctor may sit elsewhere by now: then the patient goes elsewhere too.
    let in_time = in_time && decided.location_id == standing.location_id;
    view.doctor_id = new.doctor_id;
    view.doctor_name = decided.doctor_name;
    view.location_id = decided.location_id;
    view.starts_at = decided.span.from;
    view.ends_at = decided.span.to;
    view.duration_minutes = minutes;
    view.overbooked = decided.overbook_reason.is_some();
    view.taken.token = None; // the queue that it was in may be another's now
    if !in_time {
        // A patient who had confirmed the old time has not confirmed the new one.
        view.status = Status::Booked;
    }
    let also: Vec<_> = decided.claims.iter().map(|claim| claim.subject).collect();
    let kind = if in_time { "appointment.changed" } else { "appointment.moved" };
    show(tx, kind, &view, &also).await?;
    store::release(tx, standing.id).await?;
    if store::claim(tx, Claimer::Visit(standing.id), &decided.claims).await?
        < decided.claims.len() as u64
    {
        return Err(BookError::SlotTaken.into());
    }
    promote(tx, standing.doctor_id, standing.span()).await?;
    (view.updated_at, view.version) =
        store::relocate(tx, &view, decided.overbook_reason.as_deref()).await?;
    let reason = decided.overbook_reason.as_deref();
    let what = if in_time { What::Described } else { What::Moved };
    history::note(tx, what, Some(standing), &view, reason).await?;
    if in_time {
        record(tx, &view, "appointment.changed").await?; // the patient comes at the same time to the same place
        return Ok(view);
    }
    record(tx, &view, "appointment.moved").await?;
    outbox::withdraw(&mut **tx, standing.id.0).await?;
    freed::note(tx, standing.doctor_id, standing.span()).await?;
    ahead::put(tx, &view).await?;
    tell(tx, Event::Moved, &view, view.starts_at).await?;
    Ok(view)
}

async fn record(tx: &mut Tx, view: &AppointmentView, action: &'static str) -> sqlx::Result<()> {
    let act = Act::new(action, "appointment", view.id).about(view.patient_id);
    let details =
        json!({ "doctor_id": view.doctor_id, "starts_at": crate::time::show(view.starts_at) });
    audit::record(tx, act.details(details)).await
}
