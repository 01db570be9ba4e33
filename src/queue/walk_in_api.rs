//! `/queue/walk-ins`

use poem_openapi::{Object, OpenApi};

use super::call::again;
use super::model::{Priority, QueueItem};
use super::store::{self, Asked};
use crate::appointments::walk_in::{WalkIn, WalkInError, walk_in};
use crate::appointments::{BookError, Kind, Overbook};
use crate::auth::May;
use crate::auth::may::ReceivePatients;
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::ETag;
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::Input;
use crate::http::payload::Created;
use crate::ids::{DoctorId, LocationId, PatientId};

/// Patients who come without a booking.
pub struct WalkInsApi;

/// Somebody who is here.
#[derive(Object)]
pub struct WalkInRequest {
    patient_id: PatientId,
    doctor_id: DoctorId,
    /// Where; the branch at which the doctor sits now unless given.
    location_id: Option<LocationId>,
    /// `in_person` unless given; or `video`.
    kind: Option<Kind>,
    reason: Option<String>,
    /// By age unless given.
    priority: Option<Priority>,
    /// Why the patient may have another visit at the same time.
    overbook: Option<Overbook>,
}

impl Readable for WalkInRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let patient_id = fields.required("patient_id", fields::id);
        let doctor_id = fields.required("doctor_id", fields::id);
        let location_id = fields.optional("location_id", fields::id);
        let kind = fields.optional("kind", fields::choice);
        let reason = fields.optional("reason", fields::prose(500));
        let priority = fields.optional("priority", fields::choice);
        let overbook = fields.optional_object("overbook");
        if kind == Some(Kind::HomeVisit) {
            fields.fault("kind", "unknown_value", "who is here needs no visit at home");
        }
        Some(Self {
            patient_id: patient_id?,
            doctor_id: doctor_id?,
            location_id,
            kind,
            reason,
            priority,
            overbook,
        })
    }
}

#[OpenApi]
impl WalkInsApi {
    /// Take in a patient without a booking
    ///
    /// An appointment that starts now, checked in, with a token. Where the doctor's time is taken it is overbooked on purpose, with the
    /// reason `walk-in`, and counted. Before the doctor's hours, or in a break, it has the first time after, up to two hours
    /// ahead; outside of them it is refused as a booking is. A patient who has another visit at that time: `409 slot-taken` with its
    /// `appointment_id`, unless `overbook` says why.
    #[oai(path = "/queue/walk-ins", method = "post", operation_id = "walkIn")]
    async fn walk_in(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        key: Idempotency,
        body: Input<WalkInRequest>,
    ) -> Result<Replayable<Created<QueueItem>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?;
        let here = WalkIn {
            patient_id: new.patient_id,
            doctor_id: new.doctor_id,
            location_id: new.location_id,
            kind: new.kind.unwrap_or(Kind::InPerson),
            reason: new.reason,
            overbook: new.overbook,
        };
        let subjects = [here.doctor_id.0, here.patient_id.0];
        let mut tries = Tries::default();
        loop {
            let mut tx = clinic.begin_telling(who.actor(), &subjects).await?;
            let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
                Found::Done(response) => return Ok(Replayable::Replayed(response)),
                Found::New(kept) => kept,
            };
            let now = tx.now();
            let visit = match walk_in(&mut tx, &here, now).await {
                Err(WalkInError::Book(BookError::Db(error))) if tries.again(&error) => continue,
                other => other?,
            };
            store::mark_walk_in(&mut tx, visit.id, new.priority).await?;
            let standing = store::visit(&mut tx, visit.id).await?.ok_or_else(Problem::not_found)?;
            let asked = Asked {
                day: standing.day,
                doctor: Some(standing.doctor_id),
                location: Some(standing.location_id),
            };
            let item = again(&mut tx, visit.id, asked).await?;
            let answer = Created {
                etag: ETag(item.version),
                location: format!("/appointments/{}", visit.id),
                view: item,
            };
            return Replayable::commit(tx, kept, answer).await;
        }
    }
}

impl From<WalkInError> for Problem {
    fn from(error: WalkInError) -> Self {
        let detail = error.to_string();
        match error {
            WalkInError::PatientIsBooked(visit) => {
                Problem::conflict("slot-taken", detail).with("appointment_id", visit.to_string())
            }
            // There is no `starts_at` here: it is the doctor who is not there now.
            WalkInError::Book(BookError::Invalid(mut errors)) => {
                for error in &mut errors {
                    if error.pointer.as_deref() == Some("/starts_at") {
                        error.pointer = Some("/doctor_id".into());
                    }
                }
                Problem::invalid(errors)
            }
            WalkInError::Book(error) => error.into(),
            WalkInError::Step(error) => error.into(),
        }
    }
}
