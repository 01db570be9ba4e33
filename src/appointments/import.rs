//! Visits that were made elsewhere: those to come by the very rules of booking, those that have been as they were.

use chrono::{DateTime, Utc};

use super::book::{BookError, Booker, Decided, Word, decide, write};
use super::diary;
use super::fitting::{Fitting, Seated, usual_length};
use super::model::{AppointmentRequest, AppointmentView, Status};
use super::store;
use crate::db::Tx;
use crate::error::FieldError;
use crate::ids::LocationId;
use crate::outbox;

/// What is written where the past had two visits at one time.
const DOUBLED: &str = "imported";

/// Enters a visit to come, as staff book one. The transaction was opened for telling, and holds the locks of the doctor and of the
/// resources. Not that of the patient: files have many, and the constraint finds out who was faster.
pub async fn enter(
    tx: &mut Tx,
    new: &AppointmentRequest,
    confirmed: bool,
    word: Word,
    now: DateTime<Utc>,
) -> Result<AppointmentView, BookError> {
    let decided = decide(tx, new, Booker { only_patient: None }, None, now).await?;
    let visit = write(tx, new, decided, None, word, now).await?;
    if confirmed {
        store::settle(tx, visit.id, Status::Confirmed).await?;
    }
    Ok(visit)
}

/// Records a visit that has been: wherever and whenever it was, whether or not the doctor sits there now. Of one patient with one
/// doctor at one time there is one visit: a book that is taken in twice is refused. The transaction is as for [`enter`].
pub async fn record(
    tx: &mut Tx,
    new: &AppointmentRequest,
    location_id: LocationId,
    ended: Status,
    now: DateTime<Utc>,
) -> Result<AppointmentView, BookError> {
    let diary = diary::read(tx, &new.asks(new.widest(), None), now).await?;
    let (Some(doctor), Some(patient)) = (&diary.doctor, &diary.patient) else {
        let missing = |pointer: &str| FieldError::body(pointer, "not_found", "nobody of this id");
        let doctor = diary.doctor.is_none().then(|| missing("/doctor_id"));
        let patient = diary.patient.is_none().then(|| missing("/patient_id"));
        return Err(BookError::Invalid(doctor.into_iter().chain(patient).collect()));
    };
    if store::is_on_record(tx, new).await? {
        return Err(BookError::SlotTaken);
    }
    if diary.has_lapsed {
        store::forget_lapsed(tx, &new.subjects(), now).await?;
    }
    let span = new.span(usual_length(&diary, doctor));
    // By what day its visits are counted does not matter: what has been has been.
    let seated = Fitting::new(&diary, doctor).seats(span, chrono_tz::Tz::UTC, true);
    let Seated { claims, doubled } = seated.ok_or(BookError::SlotTaken)?;
    let decided = Decided {
        span,
        location_id,
        patient_name: patient.name.clone(),
        doctor_name: doctor.name.clone(),
        claims,
        overbook_reason: doubled.then(|| DOUBLED.to_owned()),
    };
    let visit = write(tx, new, decided, None, Word::Withheld, now).await?;
    store::settle(tx, visit.id, ended).await?;
    outbox::withdraw(&mut **tx, visit.id.0).await?; // it has nothing ahead of it
    if matches!(ended, Status::Cancelled | Status::NoShow) {
        store::release(tx, visit.id).await?;
    }
    Ok(visit)
}
