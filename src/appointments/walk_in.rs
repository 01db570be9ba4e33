//! Walking in: somebody is here without a booking. The visit starts now, is checked in at once, and takes the doctor's time as
//! every visit does; where that is taken it is doubled on purpose, said so, and counted.

use chrono::{DateTime, TimeDelta, Utc};

use super::book::{BookError, Booker, book};
use super::diary;
use super::fitting::{is_place, usual_length};
use super::model::{AppointmentRequest, AppointmentView, Kind, Overbook, Step};
use super::steps::{StepError, take};
use super::store;
use crate::db::Tx;
use crate::doctors::hours::{But, Span};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};

/// Whoever comes before the doctor does, or in the break, has the first time after it.
const SOON: TimeDelta = TimeDelta::hours(2);

/// What is left of the doctor's hours must be enough for this, or nobody is taken in any more.
const SHORTEST: TimeDelta = TimeDelta::minutes(5);

/// Somebody who is here.
#[derive(Clone, Debug)]
pub struct WalkIn {
    pub patient_id: PatientId,
    pub doctor_id: DoctorId,
    pub location_id: Option<LocationId>,
    pub kind: Kind,
    pub reason: Option<String>,
    /// Why the patient may have another visit at the same time.
    pub overbook: Option<Overbook>,
}

#[derive(Debug, thiserror::Error)]
pub enum WalkInError {
    #[error(
        "the patient has another visit at this time: check that one in, or say why this one is beside it"
    )]
    PatientIsBooked(AppointmentId),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for WalkInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Book(error.into())
    }
}

/// Takes somebody in. The transaction, opened for telling, holds the locks of the doctor and the patient.
pub async fn walk_in(
    tx: &mut Tx,
    here: &WalkIn,
    now: DateTime<Utc>,
) -> Result<AppointmentView, WalkInError> {
    let minute =
        now - TimeDelta::nanoseconds(now.timestamp_nanos_opt().unwrap_or(0) % 60_000_000_000);
    let mut visit = AppointmentRequest {
        patient_id: here.patient_id,
        doctor_id: here.doctor_id,
        location_id: here.location_id,
        kind: here.kind,
        starts_at: minute,
        duration_minutes: None,
        reason: here.reason.clone(),
        address: None,
        resource_ids: None,
        overbook: Some(
            here.overbook.clone().unwrap_or_else(|| Overbook { reason: "walk-in".into() }),
        ),
    };
    if let Some(span) = first_time(tx, &visit, now).await? {
        visit.starts_at = span.from;
        visit.duration_minutes = Some((span.to - span.from).num_minutes());
        let beside = store::visit_of_patient(tx, here.patient_id, span).await?;
        if let Some(other) = beside.filter(|_| here.overbook.is_none()) {
            return Err(WalkInError::PatientIsBooked(other));
        }
    } // else booking it says why the doctor is not there
    let booked = book(tx, &visit, Booker { only_patient: None }, now).await?;
    Ok(take(tx, &booked, Step::CheckIn).await?)
}

/// The doctor's usual length from now on, or from when he sits next; cut where his hours end.
async fn first_time(
    tx: &mut Tx,
    visit: &AppointmentRequest,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Span>> {
    let within = Span::new(visit.starts_at, visit.starts_at + SOON);
    let diary = diary::read(tx, &visit.asks(within, None), now).await?;
    let Some(doctor) = diary.doctor.as_ref().filter(|doctor| doctor.active) else {
        return Ok(None);
    };
    let open = doctor.sittings.open(within, But::Nothing).into_iter().find_map(|open| {
        let from = open.span.from.max(visit.starts_at);
        let fits = is_place(&diary, visit.location_id, open.location_id)
            && open.span.to - from >= SHORTEST;
        fits.then(|| Span::new(from, open.span.to))
    });
    let length = usual_length(&diary, doctor);
    Ok(open.map(|open| Span::new(open.from, open.to.min(open.from + length))))
}
