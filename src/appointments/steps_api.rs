//! `/appointments/{id}/confirm`, `/check-in`, `/start`, `/complete`, `/no-show`

use poem_openapi::OpenApi;

use super::api::{illegal_transition, locked, refuse_another_doctors, visible};
use super::model::{AppointmentView, Step};
use super::steps::{StepError, take};
use crate::auth::may::{ConductVisits, ReceivePatients, WriteAppointments};
use crate::auth::{May, Permission, Principal, Role};
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::path::Path;
use crate::http::payload::Stored;
use crate::ids::AppointmentId;
use crate::tenancy::Clinic;

/// The steps of a visit.
pub struct StepsApi;

type Stepped = Result<Replayable<Stored<AppointmentView>>, Problem>;

#[OpenApi]
impl StepsApi {
    /// The patient will come
    ///
    /// A patient confirms his own visits. A step that a visit cannot take is `409 illegal-transition`, naming both states.
    #[oai(path = "/appointments/:id/confirm", method = "post", operation_id = "confirmAppointment")]
    async fn confirm(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Stepped {
        step(&who, &clinic, id.0, &if_match, &key, Step::Confirm).await
    }

    /// The patient is here
    #[oai(path = "/appointments/:id/check-in", method = "post", operation_id = "checkIn")]
    async fn check_in(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Stepped {
        step(&who, &clinic, id.0, &if_match, &key, Step::CheckIn).await
    }

    /// The consultation begins
    ///
    /// A doctor begins his own alone.
    #[oai(path = "/appointments/:id/start", method = "post", operation_id = "startConsultation")]
    async fn start(
        &self,
        who: May<ConductVisits>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Stepped {
        step(&who, &clinic, id.0, &if_match, &key, Step::Start).await
    }

    /// The consultation is over
    ///
    /// A doctor ends his own alone.
    #[oai(
        path = "/appointments/:id/complete",
        method = "post",
        operation_id = "completeConsultation"
    )]
    async fn complete(
        &self,
        who: May<ConductVisits>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Stepped {
        step(&who, &clinic, id.0, &if_match, &key, Step::Complete).await
    }

    /// The patient did not come
    ///
    /// The time is free again. Where the clinic's rules say after how long, it happens by itself.
    #[oai(path = "/appointments/:id/no-show", method = "post", operation_id = "markNoShow")]
    async fn no_show(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Stepped {
        step(&who, &clinic, id.0, &if_match, &key, Step::Miss).await
    }
}

async fn step<P: Permission>(
    who: &May<P>,
    clinic: &Clinic,
    id: AppointmentId,
    if_match: &IfMatch,
    key: &Idempotency,
    step: Step,
) -> Stepped {
    let seen = visible(clinic, who, id).await?;
    // A retry gets its first answer, though the visit is another version since.
    let nothing = crate::crypto::sha256(b"");
    if let Some(response) = key.first_answer(clinic, who.account, nothing).await? {
        return Ok(Replayable::Replayed(response));
    }
    refuse_others_patients(who, step, &seen)?;
    if_match.honour(ETag(seen.version))?;
    key.no_body()?;
    let mut tries = Tries::default();
    loop {
        let (mut tx, standing) = locked(clinic, who, &seen, &[]).await?;
        let kept = match key.begin(&mut tx, who.account, nothing).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        if_match.honour(ETag(standing.version))?;
        refuse_another_doctors(&seen, &standing)?;
        let after = match take(&mut tx, &standing, step).await {
            Err(StepError::Db(error)) if tries.again(&error) => continue,
            other => other?,
        };
        let answer = Stored { etag: ETag(after.version), view: after };
        return Replayable::commit(tx, kept, answer).await;
    }
}

/// A doctor sees his own patients; at the desk he may help with anybody's.
pub(super) fn refuse_others_patients(
    who: &Principal,
    step: Step,
    visit: &AppointmentView,
) -> Result<(), Problem> {
    let sees = matches!(step, Step::Start | Step::Complete);
    if sees && who.role == Role::Doctor && visit.doctor_id.0 != who.account.0 {
        return Err(Problem::forbidden());
    }
    Ok(())
}

impl From<StepError> for Problem {
    fn from(error: StepError) -> Self {
        let detail = error.to_string();
        match error {
            StepError::IllegalTransition { from, to } => illegal_transition(detail, from, to),
            StepError::Db(error) => error.into(),
        }
    }
}
