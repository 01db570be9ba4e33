//! `/appointments/{id}/reopen`

use poem_openapi::{Object, OpenApi};

use super::api::{
    illegal_transition, locked, refuse_another_doctors, slot_taken, visible, zone_named,
};
use super::book::{BookError, Booker};
use super::model::{AppointmentView, Status, Step};
use super::reopen::{ReopenError, reopen, wanted_again};
use super::steps_api::refuse_others_patients;
use super::store;
use crate::auth::may::ReceivePatients;
use crate::auth::{May, Role};
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fields, Readable, line};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::Input;
use crate::http::path::Path;
use crate::http::payload::Stored;
use crate::ids::AppointmentId;

/// Undoing.
pub struct ReopenApi;

/// Why a step is undone.
#[derive(Debug, Object)]
pub struct ReopenAppointment {
    pub reason: String,
}

impl Readable for ReopenAppointment {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.required("reason", line(1, 200))? })
    }
}

#[OpenApi]
impl ReopenApi {
    /// Undo a cancel, a no-show or a wrong step of today
    ///
    /// The visit goes back to the state before, and its reminders with it. Its time may be gone by now: `409 slot-taken`, with the
    /// next free ones. A step of another day, in the location's zone, stays: `409 not-of-today`.
    #[oai(path = "/appointments/:id/reopen", method = "post", operation_id = "reopenAppointment")]
    async fn reopen(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
        body: Input<ReopenAppointment>,
    ) -> Result<Replayable<Stored<AppointmentView>>, Problem> {
        let now = clinic.clock.now();
        let body_sha256 = body.sha256();
        let seen = visible(&clinic, &who, id.0).await?;
        body.accept()?;
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        // What only the doctor does, only the doctor undoes.
        match seen.status {
            Status::InConsultation | Status::Completed if who.role == Role::Receptionist => {
                return Err(Problem::forbidden());
            }
            Status::InConsultation => refuse_others_patients(&who, Step::Start, &seen)?,
            Status::Completed => refuse_others_patients(&who, Step::Complete, &seen)?,
            _ => {}
        }
        if_match.honour(ETag(seen.version))?;
        let reason = body.read()?.reason;
        // Of one that is closed by now, too.
        let place = store::location_name(&mut clinic.read().await?, seen.location_id).await?;
        let zone = place.map_or(Ok(clinic.zone), |(_, zone)| zone_named(&zone))?;
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, &seen, &[]).await?;
            let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
                Found::Done(response) => return Ok(Replayable::Replayed(response)),
                Found::New(kept) => kept,
            };
            if_match.honour(ETag(standing.version))?;
            refuse_another_doctors(&seen, &standing)?;
            if standing.status != seen.status {
                return Err(Problem::conflict("conflict", "somebody changed this visit just now"));
            }
            let after = match reopen(&mut tx, &standing, &reason, zone, now).await {
                Err(ReopenError::Book(BookError::SlotTaken)) => {
                    tx.rollback().await?;
                    let (wanted, by) = (wanted_again(&seen, None), Booker { only_patient: None });
                    return Err(slot_taken(&clinic, &wanted, by, Some(seen.id), now).await?);
                }
                Err(ReopenError::Book(BookError::Db(error))) if tries.again(&error) => continue,
                other => other?,
            };
            let answer = Stored { etag: ETag(after.version), view: after };
            return Replayable::commit(tx, kept, answer).await;
        }
    }
}

impl From<ReopenError> for Problem {
    fn from(error: ReopenError) -> Self {
        let detail = error.to_string();
        match error {
            ReopenError::NothingToUndo => {
                illegal_transition(detail, Status::Booked, Status::Booked)
            }
            ReopenError::NotOfToday => Problem::conflict("not-of-today", detail),
            // Nothing in the request is at fault: the doctor is away by now, or has other hours.
            ReopenError::Book(BookError::Invalid(errors)) => {
                let why = errors.first().map(|error| error.message.to_string()).unwrap_or_default();
                Problem::conflict("cannot-reopen", why)
            }
            ReopenError::Book(error) => error.into(),
        }
    }
}
