//! Booking: whether a visit may be, and the one statement that makes it so.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::diary::{self, Diaries, Diary};
use super::model::{AppointmentRequest, AppointmentView, Status, Taken};
use super::seats::seat_for;
use super::store::{self, Writing};
use crate::db::Tx;
use crate::doctors::hours::{Span, open_stretches};
use crate::error::FieldError;
use crate::ids::{AppointmentId, LocationId, MessageId, PatientId};

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("some fields need another value")]
    Invalid(Vec<FieldError>),
    #[error("that time is taken")]
    SlotTaken,
    #[error("staff alone may overbook on purpose")]
    MayNotOverbook,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

impl BookError {
    fn field(pointer: &str, code: &'static str, message: &str) -> Self {
        Self::Invalid(vec![FieldError::body(pointer, code, message)])
    }

    pub(super) fn in_the_past() -> Self {
        Self::field("/starts_at", "in_the_past", "choose a time still to come")
    }
}

/// The longest visit there is.
const LONGEST_MINUTES: i32 = 480;

/// For whom a booking is made: patients book for themselves alone and never double a time.
#[derive(Clone, Copy, Debug)]
pub struct Booker {
    /// Set for a patient: the only patient whom he may book for.
    pub only_patient: Option<PatientId>,
}

/// What has been decided about a visit, under the locks of its subjects.
pub(super) struct Decided {
    pub span: Span,
    pub location_id: LocationId,
    pub patient_name: String,
    pub doctor_name: String,
    pub seats: [(Uuid, i16); 2],
    /// Only when the time was in fact doubled.
    pub overbook_reason: Option<String>,
}

/// Books a visit, or says why not.
///
/// The caller owns the transaction, opened for telling, with the visit's subjects locked: a course books twenty visits and
/// commits them as one.
pub async fn book(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    now: DateTime<Utc>,
) -> Result<AppointmentView, BookError> {
    let decided = decide(tx, new, by, None).await?;
    let mut view = AppointmentView {
        id: AppointmentId::new(),
        number: String::new(),
        patient_id: new.patient_id,
        patient_name: decided.patient_name,
        doctor_id: new.doctor_id,
        doctor_name: decided.doctor_name,
        location_id: decided.location_id,
        kind: new.kind,
        status: Status::Booked,
        starts_at: decided.span.from,
        ends_at: decided.span.to,
        duration_minutes: (decided.span.to - decided.span.from).num_minutes(),
        overbooked: decided.overbook_reason.is_some(),
        reason: new.reason.clone().unwrap_or_default(),
        address: new.address.clone().unwrap_or_default(),
        cancel_reason: None,
        taken: Taken::default(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let message = MessageId::new();
    let writing = Writing {
        view: &view,
        overbook_reason: decided.overbook_reason.as_deref(),
        seats: &decided.seats,
        message,
    };
    let (claimed, number, created_at) = store::insert(tx, &writing).await?;
    // The constraint is the rule: what was decided above is a courtesy.
    if claimed < decided.seats.len() as i64 {
        return Err(BookError::SlotTaken);
    }
    tx.note_message(message);
    view.number = number;
    view.created_at = created_at;
    view.updated_at = created_at;
    Ok(view)
}

/// Decides where a visit sits, or why it may not be. `moving` is the visit that gives its own time up.
pub(super) async fn decide(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    moving: Option<AppointmentId>,
) -> Result<Decided, BookError> {
    if by.only_patient.is_some() && new.overbook.is_some() {
        return Err(BookError::MayNotOverbook);
    }
    // The longest visit there is: the diary is read before its slot length is known.
    let widest = new.span(LONGEST_MINUTES);
    let Diaries { doctor, patient, has_location } =
        diary::of_visit(tx, new, widest, moving).await?;
    let own = by.only_patient.is_none_or(|own| own == new.patient_id);
    let (diary, patient) = match (doctor.filter(|diary| diary.active), patient.filter(|_| own)) {
        (Some(diary), Some(patient)) if has_location => (diary, patient),
        (diary, patient) => {
            let missing =
                |pointer: &str, words: &str| FieldError::body(pointer, "not_found", words);
            let mut errors = Vec::new();
            errors.extend(patient.is_none().then(|| missing("/patient_id", "nobody of this id")));
            errors.extend(diary.is_none().then(|| missing("/doctor_id", "nobody of this id")));
            errors.extend((!has_location).then(|| missing("/location_id", "no such location")));
            return Err(BookError::Invalid(errors));
        }
    };
    let span = new.span(diary.slot_minutes);
    let location_id = sits_at(&diary, span, new.location_id)?;
    let overbook = new.overbook.is_some();
    let doctor_seat = seat_for(&diary.taken, span, diary.capacity, overbook);
    let patient_seat = seat_for(&patient.taken, span, 1, overbook);
    let (Some(doctor_seat), Some(patient_seat)) = (doctor_seat, patient_seat) else {
        return Err(BookError::SlotTaken);
    };
    let doubled = doctor_seat >= diary.capacity || patient_seat >= 1;
    Ok(Decided {
        span,
        location_id,
        patient_name: patient.patient_name,
        doctor_name: diary.doctor_name,
        seats: [(new.doctor_id.0, doctor_seat), (new.patient_id.0, patient_seat)],
        overbook_reason: new.overbook.as_ref().filter(|_| doubled).map(|o| o.reason.clone()),
    })
}

/// The location at which the doctor sits throughout the visit.
fn sits_at(
    diary: &Diary,
    visit: Span,
    wanted: Option<LocationId>,
) -> Result<LocationId, BookError> {
    let sits = |time_off: &[Span]| {
        open_stretches(&diary.hours, time_off, visit)
            .into_iter()
            .find(|open| {
                open.span.contains(&visit) && wanted.is_none_or(|wanted| wanted == open.location_id)
            })
            .map(|open| open.location_id)
    };
    match (sits(&diary.time_off), sits(&[])) {
        (Some(location), _) => Ok(location),
        (None, Some(_)) => {
            Err(BookError::field("/starts_at", "on_leave", "the doctor is away at that time"))
        }
        (None, None) => Err(BookError::field(
            "/starts_at",
            "outside_hours",
            "the doctor does not sit there at that time",
        )),
    }
}
