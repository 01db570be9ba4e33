//! Visits that were made elsewhere: those to come by the very rules of booking, those that have been as they were.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::book::{BookError, Booker, Decided, Word, decide, write};
use super::diary;
use super::fitting::{Fitting, Seated, usual_length};
use super::history::{self, What};
use super::model::{AppointmentRequest, AppointmentView, Status};
use super::store;
use super::tell::show;
use crate::audit::{self, Act};
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
        settle(tx, &visit, Status::Confirmed, now).await?;
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
    // While it has its claims: they say who hears of it.
    settle(tx, &visit, ended, visit.ends_at.min(now)).await?;
    outbox::withdraw(&mut **tx, visit.id.0).await?; // it has nothing ahead of it
    if matches!(ended, Status::Cancelled | Status::NoShow) {
        store::release(tx, visit.id).await?;
    }
    Ok(visit)
}

/// Puts a visit into the status that it had elsewhere, as a step that it took `at` that time: so it is known to whoever asks for its
/// past, or would undo it. When it took the steps between is not known.
async fn settle(
    tx: &mut Tx,
    visit: &AppointmentView,
    status: Status,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let what = match status {
        Status::Booked => return Ok(()),
        Status::Confirmed => What::Confirmed,
        Status::CheckedIn => What::CheckedIn,
        Status::InConsultation => What::Started,
        Status::Completed => What::Completed,
        Status::Cancelled => What::Cancelled,
        Status::NoShow => What::NoShow,
    };
    store::settle(tx, visit.id, status).await?;
    let after = AppointmentView { status, ..visit.clone() };
    history::note_at(tx, what, Some(visit), &after, at).await?;
    show(tx, what.action(), &after, &[]).await?;
    let act = Act::new(what.action(), "appointment", after.id).about(after.patient_id);
    let details =
        json!({ "from": visit.status.as_str(), "status": status.as_str(), "imported": true });
    audit::record(tx, act.details(details)).await
}
