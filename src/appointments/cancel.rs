//! Cancelling: the visit stays on record, its time is free again, and whoever was squeezed in beside it moves up.

use chrono::TimeDelta;
use serde_json::json;

use super::diary;
use super::freed;
use super::history::{self, What};
use super::model::{AppointmentView, Event, Status, Taken};
use super::seats::seat_for;
use super::store;
use super::tell::{show, tell};
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::DoctorId;
use crate::outbox;

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("a visit that is {} cannot become cancelled", .0.as_str())]
    IllegalTransition(Status),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Cancels a visit. The transaction holds the locks of its doctor and its patient.
pub async fn cancel(
    tx: &mut Tx,
    standing: &AppointmentView,
    reason: Option<&str>,
) -> Result<AppointmentView, CancelError> {
    if !standing.status.may_become(Status::Cancelled) {
        return Err(CancelError::IllegalTransition(standing.status));
    }
    let (updated_at, version, late_cancelled) = store::cancel(tx, standing.id, reason).await?;
    let cancelled = AppointmentView {
        status: Status::Cancelled,
        cancel_reason: reason.map(str::to_owned),
        taken: Taken { late_cancelled, ..standing.taken.clone() },
        updated_at,
        version,
        ..standing.clone()
    };
    show(tx, "appointment.cancelled", &cancelled, &[]).await?;
    store::release(tx, standing.id).await?;
    promote(tx, standing.doctor_id, standing.span()).await?;
    history::note(tx, What::Cancelled, Some(standing), &cancelled, reason).await?;
    let act = Act::new("appointment.cancelled", "appointment", standing.id)
        .about(standing.patient_id)
        .details(json!({ "reason": reason, "late": late_cancelled }));
    audit::record(tx, act).await?;
    outbox::withdraw(&mut **tx, standing.id.0).await?;
    freed::note(tx, standing.doctor_id, standing.span()).await?;
    tell(tx, Event::Cancelled, &cancelled, standing.starts_at).await?;
    Ok(cancelled)
}

/// More is never kept free before or after a visit.
const MOST_AROUND: TimeDelta = TimeDelta::minutes(360);

/// A freed seat promotes the overbooked visits that fit into it, so that an ordinary booking does not overtake them.
pub(super) async fn promote(tx: &mut Tx, doctor: DoctorId, freed: Span) -> sqlx::Result<()> {
    // What was kept free around the visit is free again too.
    let freed = Span::new(freed.from - MOST_AROUND, freed.to + MOST_AROUND);
    let now = tx.now();
    // The constraint would count what has lapsed: a seat that looks free would not be.
    store::forget_lapsed(tx, &[doctor.0], now).await?;
    for (appointment, from, to) in store::overbooked_claims(tx, doctor, freed).await? {
        let span = Span::new(from, to);
        let (capacity, taken) = diary::of_doctor(tx, doctor, span, appointment, now).await?;
        let ordinary = seat_for(&taken, span, capacity, true);
        if let Some(seat) = ordinary.filter(|seat| *seat < capacity) {
            store::reseat(tx, appointment, doctor, seat).await?;
        }
    }
    Ok(())
}
