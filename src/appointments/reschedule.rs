//! Moving a visit: in one step, so that the old time is given up only if the new one is had.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::book::{BookError, Booker, decide};
use super::cancel::promote;
use super::model::{AppointmentRequest, AppointmentView, Event, Status};
use super::store;
use super::tell::tell;
use crate::audit::{self, Act};
use crate::db::Tx;
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
    let same_time = standing.doctor_id == new.doctor_id
        && standing.starts_at == new.starts_at
        && new
            .duration_minutes
            .is_none_or(|minutes| minutes == (standing.ends_at - standing.starts_at).num_minutes())
        && new.location_id.is_none_or(|location| location == standing.location_id);
    let mut view = AppointmentView {
        kind: new.kind,
        reason: new.reason.clone().unwrap_or_default(),
        address: new.address.clone().unwrap_or_default(),
        ..standing.clone()
    };
    if same_time {
        return Ok(rewrite(tx, view, None, "appointment.changed").await?);
    }
    if new.starts_at <= now {
        let error = crate::error::FieldError::body(
            "/starts_at",
            "in_the_past",
            "choose a time still to come",
        );
        return Err(BookError::Invalid(vec![error]).into());
    }
    let decided = decide(tx, new, by, Some(standing.id)).await?;
    view.doctor_id = new.doctor_id;
    view.doctor_name = decided.doctor_name;
    view.location_id = decided.location_id;
    view.starts_at = decided.span.from;
    view.ends_at = decided.span.to;
    view.overbooked = decided.overbook_reason.is_some();
    // A patient who had confirmed the old time has not confirmed the new one.
    view.status = Status::Booked;
    store::release(tx, standing.id).await?;
    if store::claim(tx, standing.id, decided.span, &decided.seats).await?
        < decided.seats.len() as u64
    {
        return Err(BookError::SlotTaken.into());
    }
    promote(tx, standing.doctor_id, standing.span()).await?;
    let moved = rewrite(tx, view, decided.overbook_reason.as_deref(), "appointment.moved").await?;
    outbox::withdraw(&mut **tx, standing.id.0).await?;
    tell(tx, Event::Moved, &moved, moved.starts_at).await?;
    Ok(moved)
}

async fn rewrite(
    tx: &mut Tx,
    mut view: AppointmentView,
    overbook_reason: Option<&str>,
    action: &'static str,
) -> sqlx::Result<AppointmentView> {
    (view.updated_at, view.version) = store::update(tx, &view, overbook_reason).await?;
    let act = Act::new(action, "appointment", view.id).about(view.patient_id);
    let details =
        json!({ "doctor_id": view.doctor_id, "starts_at": crate::time::show(view.starts_at) });
    audit::record(tx, act.details(details)).await?;
    Ok(view)
}
