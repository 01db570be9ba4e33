//! Booking: whether a visit may be, and the one statement that makes it so.

use chrono::{DateTime, Utc};

use super::diary::{self, Diary, DoctorDiary, PatientDiary};
use super::fitting::{Claim, Fitting, NotNow, Seated, Window, is_place, offered, usual_length};
use super::model::{AppointmentRequest, AppointmentView, Status, Taken};
use super::seats::{Taken as Seat, seat_for};
use super::store::{self, Writing};
use crate::db::Tx;
use crate::doctors::hours::{But, Open, Span};
use crate::error::FieldError;
use crate::ids::{AppointmentId, LocationId, MessageId, PatientId, ResourceId, SeriesId};

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

/// For whom a booking is made: patients book for themselves alone and never double a time.
#[derive(Clone, Copy, Debug)]
pub struct Booker {
    /// Set for a patient: the only patient whom he may book for.
    pub only_patient: Option<PatientId>,
}

impl Booker {
    /// Patients book within the clinic's lead time and horizon; staff whenever they like.
    pub fn is_patient(self) -> bool {
        self.only_patient.is_some()
    }
}

/// What has been decided about a visit, under the locks of its subjects.
pub(super) struct Decided {
    pub span: Span,
    pub location_id: LocationId,
    pub patient_name: String,
    pub doctor_name: String,
    pub claims: Vec<Claim>,
    /// Only when the time was in fact doubled.
    pub overbook_reason: Option<String>,
}

/// Whether a patient was free to ask for any time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice<'v> {
    /// The time was offered, or staff say when and for how long.
    Given,
    /// A patient has what is offered to all: a slot, as long as it is. What staff gave may stay as long as it is when it moves.
    Own(Option<&'v AppointmentView>),
}

/// Books a visit, or says why not. A patient chooses among what is offered.
///
/// The caller owns the transaction, opened for telling, with the visit's subjects locked: a course books twenty visits and
/// commits them as one.
pub async fn book(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    now: DateTime<Utc>,
) -> Result<AppointmentView, BookError> {
    let decided = decide_choice(tx, new, by, None, now).await?;
    write(tx, new, decided, None, Word::Given, now).await
}

/// Whether the patient is told that a visit is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Given,
    Withheld,
}

/// Makes a visit of what was decided; of a series too, of which the patient hears once.
pub(super) async fn write(
    tx: &mut Tx,
    new: &AppointmentRequest,
    decided: Decided,
    series: Option<SeriesId>,
    word: Word,
    now: DateTime<Utc>,
) -> Result<AppointmentView, BookError> {
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
        resource_ids: new.resources().to_vec(),
        series_id: series,
        join_url: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let message = (word == Word::Given).then(MessageId::new);
    let writing = Writing {
        view: &view,
        overbook_reason: decided.overbook_reason.as_deref(),
        claims: &decided.claims,
        message,
    };
    let (claimed, number, created_at) = store::insert(tx, &writing).await?;
    // The constraint is the rule: what was decided above is a courtesy.
    if claimed < decided.claims.len() as i64 {
        return Err(BookError::SlotTaken);
    }
    if let Some(message) = message {
        tx.note_message(message);
    }
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
    now: DateTime<Utc>,
) -> Result<Decided, BookError> {
    judge(tx, new, by, Choice::Given, moving, now).await
}

/// As [`decide`], of a time that its booker chose. `standing` is the visit that gives its own time up.
pub(super) async fn decide_choice(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    standing: Option<&AppointmentView>,
    now: DateTime<Utc>,
) -> Result<Decided, BookError> {
    judge(tx, new, by, Choice::Own(standing), standing.map(|visit| visit.id), now).await
}

async fn judge(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    choice: Choice<'_>,
    moving: Option<AppointmentId>,
    now: DateTime<Utc>,
) -> Result<Decided, BookError> {
    if by.is_patient() && new.overbook.is_some() {
        return Err(BookError::MayNotOverbook);
    }
    let diary = diary::read(tx, &new.asks(new.widest(), moving), now).await?;
    let decided = decided_by(&diary, new, by, choice, now)?;
    if diary.has_lapsed {
        store::forget_lapsed(tx, &new.subjects(), now).await?;
    }
    Ok(decided)
}

/// The rule of [`decide`], over what has been read.
pub(super) fn decided_by(
    diary: &Diary,
    new: &AppointmentRequest,
    by: Booker,
    choice: Choice<'_>,
    now: DateTime<Utc>,
) -> Result<Decided, BookError> {
    let (doctor, patient) = whoever_is_there(diary, new, by)?;
    let span = new.span(usual_length(diary, doctor));
    let open = sits_at(diary, doctor, span, new)?;
    if by.is_patient() {
        let window = Window::of_patients(&diary.rules, now);
        window.admits(span.from, open.zone).map_err(not_now)?;
        if let Choice::Own(standing) = choice {
            refuse_unoffered(diary, doctor, new, standing, now)?;
        }
    }
    let seated = Fitting::new(diary, doctor).seats(span, open.zone, new.overbook.is_some());
    let Seated { claims, doubled } = seated.ok_or(BookError::SlotTaken)?;
    Ok(Decided {
        span,
        location_id: open.location_id,
        patient_name: patient.name.clone(),
        doctor_name: doctor.name.clone(),
        claims,
        overbook_reason: new.overbook.as_ref().filter(|_| doubled).map(|o| o.reason.clone()),
    })
}

/// Decides about a visit whose seats were kept for it: whether the doctor still sits there, and the patient is free.
pub(super) async fn decide_kept(
    tx: &mut Tx,
    new: &AppointmentRequest,
    by: Booker,
    kept: Vec<Claim>,
    now: DateTime<Utc>,
) -> Result<Decided, BookError> {
    let diary = diary::read(tx, &new.asks(new.widest(), None), now).await?;
    let (doctor, patient) = whoever_is_there(&diary, new, by)?;
    let span = new.span(usual_length(&diary, doctor));
    let open = sits_at(&diary, doctor, span, new)?;
    let own: Vec<Seat> =
        diary.taken.iter().filter(|(of, _)| *of == patient.id.0).map(|(_, taken)| *taken).collect();
    let seat = seat_for(&own, span, 1, false).ok_or(BookError::SlotTaken)?;
    let mut claims = kept;
    claims.push(Claim { subject: patient.id.0, seat, during: span });
    Ok(Decided {
        span,
        location_id: open.location_id,
        patient_name: patient.name.clone(),
        doctor_name: doctor.name.clone(),
        claims,
        overbook_reason: None,
    })
}

fn whoever_is_there<'d>(
    diary: &'d Diary,
    new: &AppointmentRequest,
    by: Booker,
) -> Result<(&'d DoctorDiary, &'d PatientDiary), BookError> {
    let own = by.only_patient.is_none_or(|own| own == new.patient_id);
    let patient = diary.patient.as_ref().filter(|_| own);
    let doctor = diary.doctor.as_ref().filter(|doctor| doctor.active);
    let missing = |pointer: String, words: &str| FieldError::body(pointer, "not_found", words);
    let mut errors = Vec::new();
    if patient.is_none() {
        errors.push(missing("/patient_id".into(), "nobody of this id"));
    }
    if doctor.is_none() {
        errors.push(missing("/doctor_id".into(), "nobody of this id"));
    }
    if !diary.has_location {
        errors.push(missing("/location_id".into(), "no such location"));
    }
    for (nth, id) in new.resources().iter().enumerate() {
        if diary.resources.iter().all(|resource| resource.id != *id) {
            errors.push(missing(format!("/resource_ids/{nth}"), "nothing of this id"));
        }
    }
    match (doctor, patient) {
        (Some(doctor), Some(patient)) if errors.is_empty() => Ok((doctor, patient)),
        _ => Err(BookError::Invalid(errors)),
    }
}

/// Where the doctor sits throughout the visit, and has its resources at hand. (What is kept free around it may lie outside hours.)
fn sits_at(
    diary: &Diary,
    doctor: &DoctorDiary,
    visit: Span,
    new: &AppointmentRequest,
) -> Result<Open, BookError> {
    let sits = |but| {
        let all = doctor.sittings.open(visit, but).into_iter();
        all.filter(|open| {
            let here = new.location_id.is_none_or(|wanted| wanted == open.location_id);
            here && open.span.contains(&visit)
        })
    };
    if let Some(open) =
        sits(But::Nothing).find(|open| is_place(diary, new.location_id, open.location_id))
    {
        return Ok(open);
    }
    if let Some(open) = sits(But::Nothing).next() {
        let elsewhere = |id: &ResourceId| {
            let there = diary.resources.iter().find(|resource| resource.id == *id);
            there.and_then(|resource| resource.location_id).is_some_and(|l| l != open.location_id)
        };
        let wrong = new.resources().iter().enumerate().filter(|(_, id)| elsewhere(id));
        let words = "it is not where the doctor sits then";
        let fault = |(nth, _)| FieldError::body(format!("/resource_ids/{nth}"), "elsewhere", words);
        return Err(BookError::Invalid(wrong.map(fault).collect()));
    }
    let (code, words) = if sits(But::TimeOff).next().is_some() {
        ("on_leave", "the doctor is away at that time")
    } else if sits(But::TimeOffAndHolidays).next().is_some() {
        ("holiday", "that day is a holiday there")
    } else {
        ("outside_hours", "the doctor does not sit there at that time")
    };
    Err(BookError::field("/starts_at", code, words))
}

/// Refuses a patient what is no slot. A visit that stays when it is may be there for reasons of the staff's.
fn refuse_unoffered(
    diary: &Diary,
    doctor: &DoctorDiary,
    new: &AppointmentRequest,
    standing: Option<&AppointmentView>,
    now: DateTime<Utc>,
) -> Result<(), BookError> {
    let usual = usual_length(diary, doctor);
    let span = new.span(usual);
    let length = span.to - span.from;
    if length != usual && standing.is_none_or(|visit| visit.ends_at - visit.starts_at != length) {
        let words = format!("these visits are {} minutes long", usual.num_minutes());
        return Err(BookError::field("/duration_minutes", "not_offered", &words));
    }
    let stays =
        standing.is_some_and(|visit| visit.span() == span && visit.doctor_id == new.doctor_id);
    if stays || !offered(diary, doctor, span, new.location_id, length, now).is_empty() {
        return Ok(());
    }
    Err(BookError::field("/starts_at", "not_offered", "choose one of the doctor's slots"))
}

/// Where the doctor's hours have a visit, if need be one of the days on which he is away.
pub(super) fn place_of(diary: &Diary, new: &AppointmentRequest) -> Option<Open> {
    let doctor = diary.doctor.as_ref()?;
    let visit = new.span(usual_length(diary, doctor));
    [But::Nothing, But::TimeOffAndHolidays].into_iter().find_map(|but| {
        doctor.sittings.open(visit, but).into_iter().find(|open| {
            open.span.contains(&visit) && is_place(diary, new.location_id, open.location_id)
        })
    })
}

fn not_now(why: NotNow) -> BookError {
    let (code, words) = match why {
        NotNow::TooSoon => ("too_soon", "that is too soon to book by oneself: call the clinic"),
        NotNow::TooFar => ("too_far", "that is too far ahead to book by oneself: call the clinic"),
    };
    BookError::field("/starts_at", code, words)
}
