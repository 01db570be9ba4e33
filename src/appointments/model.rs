//! What an appointment is. Nothing here reads a database, a clock or the network.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::diary::Asked;
use crate::doctors::hours::Span;
use crate::http::fields::{self, Fault, Fields, Readable};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId, ResourceId, SeriesId};
use crate::time::{shown, shown_if_any};

/// How doctor and patient meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Kind {
    InPerson,
    Video,
    HomeVisit,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::InPerson => "in_person",
            Kind::Video => "video",
            Kind::HomeVisit => "home_visit",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Status {
    Booked,
    Confirmed,
    CheckedIn,
    InConsultation,
    Completed,
    Cancelled,
    NoShow,
}

impl Status {
    /// The steps a visit may take; one that is not listed is refused.
    pub fn may_become(self, next: Status) -> bool {
        use Status::*;
        match self {
            Booked => matches!(next, Confirmed | CheckedIn | Cancelled | NoShow),
            Confirmed => matches!(next, CheckedIn | Cancelled | NoShow),
            CheckedIn => matches!(next, InConsultation | Cancelled | NoShow),
            InConsultation => matches!(next, Completed),
            Completed | Cancelled | NoShow => false,
        }
    }

    /// A visit moves to another time only before the patient has come.
    pub fn may_move(self) -> bool {
        matches!(self, Status::Booked | Status::Confirmed)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Booked => "booked",
            Status::Confirmed => "confirmed",
            Status::CheckedIn => "checked_in",
            Status::InConsultation => "in_consultation",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
            Status::NoShow => "no_show",
        }
    }
}

/// A step that a visit takes by itself: booking, moving and cancelling are more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Confirm,
    CheckIn,
    Start,
    Complete,
    /// The patient did not come.
    Miss,
}

impl Step {
    /// What the visit becomes.
    pub fn to(self) -> Status {
        match self {
            Step::Confirm => Status::Confirmed,
            Step::CheckIn => Status::CheckedIn,
            Step::Start => Status::InConsultation,
            Step::Complete => Status::Completed,
            Step::Miss => Status::NoShow,
        }
    }
}

/// When a visit took its steps, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Object)]
pub struct Taken {
    #[serde(with = "shown_if_any")]
    pub checked_in_at: Option<DateTime<Utc>>,
    #[serde(with = "shown_if_any")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(with = "shown_if_any")]
    pub completed_at: Option<DateTime<Utc>>,
    /// The number by which the patient is called that day; from checking in on.
    pub token: Option<i32>,
    /// Cancelled so late that nobody else could have the time (`late_cancel_minutes` of the clinic's rules).
    pub late_cancelled: bool,
}

/// What patients are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Booked,
    Moved,
    Cancelled,
}

impl Event {
    /// The purpose of its message in the outbox.
    pub fn purpose(self) -> &'static str {
        match self {
            Event::Booked => "appointment.booked",
            Event::Moved => "appointment.moved",
            Event::Cancelled => "appointment.cancelled",
        }
    }
}

/// An appointment as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct AppointmentView {
    pub id: AppointmentId,
    /// The clinic's own short number: `A-000042`.
    pub number: String,
    pub patient_id: PatientId,
    pub patient_name: String,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    pub kind: Kind,
    pub status: Status,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
    pub duration_minutes: i64,
    /// True when staff doubled this time on purpose.
    pub overbooked: bool,
    pub reason: String,
    /// Where a home visit goes.
    pub address: String,
    pub cancel_reason: Option<String>,
    #[serde(flatten)]
    #[oai(flatten)]
    pub taken: Taken,
    /// What it takes beside its doctor and its patient.
    pub resource_ids: Vec<ResourceId>,
    /// The series that it was booked with.
    pub series_id: Option<SeriesId>,
    /// Of a video visit, from shortly before it until its end; else null. Answers to changes never show it.
    pub join_url: Option<String>,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

impl AppointmentView {
    /// Whom and what it takes: locked together before it is changed.
    pub fn subjects(&self) -> Vec<Uuid> {
        let resources = self.resource_ids.iter().map(|resource| resource.0);
        [self.doctor_id.0, self.patient_id.0].into_iter().chain(resources).collect()
    }

    pub fn span(&self) -> Span {
        Span::new(self.starts_at, self.ends_at)
    }
}

/// Why staff double a time on purpose.
#[derive(Clone, Debug, Object)]
pub struct Overbook {
    pub reason: String,
}

impl Readable for Overbook {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.required("reason", fields::line(1, 200))? })
    }
}

/// What a caller asks for when booking, and when moving.
#[derive(Clone, Debug, Object)]
pub struct AppointmentRequest {
    pub patient_id: PatientId,
    pub doctor_id: DoctorId,
    /// Where; the branch at which the doctor sits at that time unless given.
    pub location_id: Option<LocationId>,
    pub kind: Kind,
    pub starts_at: DateTime<Utc>,
    /// 5 to 480. Unless given: the doctor's slot length, and for a visit that stands as long as it is.
    pub duration_minutes: Option<i64>,
    pub reason: Option<String>,
    /// Wanted for a home visit.
    pub address: Option<String>,
    /// Rooms, equipment, therapists: each is there and free. A visit that stands keeps its own unless told otherwise.
    pub resource_ids: Option<Vec<ResourceId>>,
    /// Staff only: double this time on purpose.
    pub overbook: Option<Overbook>,
}

const MOST_RESOURCES: usize = 10;

impl Readable for AppointmentRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let patient_id = fields.required("patient_id", fields::id);
        let doctor_id = fields.required("doctor_id", fields::id);
        let location_id = fields.optional("location_id", fields::id);
        let kind = fields.required("kind", fields::choice);
        let starts_at = fields.required("starts_at", starting_time);
        let duration_minutes = fields.optional("duration_minutes", fields::integer(5, 480));
        let reason = fields.optional("reason", fields::prose(500));
        let address = fields.optional("address", fields::prose(500)).filter(|a| !a.is_empty());
        let resource_ids = fields.list("resource_ids", MOST_RESOURCES, fields::id);
        let overbook = fields.optional_object("overbook");
        if !no_repeats(resource_ids.as_deref().unwrap_or_default()) {
            fields.fault("resource_ids", "repeated", "name each once");
        }
        if fields.standing("join_url", Ok).is_some() {
            let _ = fields.optional("join_url", Ok); // sent back it may be another by now: it goes by the clock
        }
        if kind == Some(Kind::HomeVisit) && address.is_none() {
            fields.fault("address", "required", "a home visit needs an address");
        }
        // A visit stays with its patient; and one that has begun may still be given another reason.
        let stands = fields.standing("patient_id", fields::id);
        if stands.is_some() && patient_id.is_some() && stands != patient_id {
            fields.fault("patient_id", "read_only", "a visit stays with its patient");
        }
        let is_moved = starts_at != fields.standing("starts_at", fields::instant);
        if is_moved && starts_at.is_some_and(|at| at <= fields.now()) {
            fields.fault("starts_at", "in_the_past", "choose a time still to come");
        }
        Some(Self {
            patient_id: patient_id?,
            doctor_id: doctor_id?,
            location_id,
            kind: kind?,
            starts_at: starts_at?,
            duration_minutes,
            reason,
            address,
            resource_ids,
            overbook,
        })
    }
}

/// Whether each id is named once.
pub fn no_repeats(ids: &[ResourceId]) -> bool {
    (1..ids.len()).all(|nth| !ids[..nth].contains(&ids[nth]))
}

/// The longest slot that a doctor or a kind of visit has.
const LONGEST_USUAL: TimeDelta = TimeDelta::minutes(240);

/// A visit begins on a whole minute.
pub fn starting_time(value: Value) -> Result<DateTime<Utc>, Fault> {
    let at = fields::instant(value)?;
    let is_whole = at.timestamp_subsec_nanos() == 0 && at.timestamp() % 60 == 0;
    is_whole
        .then_some(at)
        .ok_or_else(|| Fault("invalid_format", "a visit begins on a whole minute".into()))
}

impl AppointmentRequest {
    pub fn span(&self, usual: TimeDelta) -> Span {
        let length = self.duration_minutes.map_or(usual, TimeDelta::minutes);
        Span::new(self.starts_at, self.starts_at + length)
    }

    /// The longest that it may be: the diary is read before the usual length is known.
    pub fn widest(&self) -> Span {
        self.span(LONGEST_USUAL)
    }

    /// What stays as it is of a visit that stands, unless somebody says otherwise: the doctor's slots need not be of its length.
    pub fn keeping(self, standing: &AppointmentView) -> Self {
        Self {
            duration_minutes: self.duration_minutes.or(Some(standing.duration_minutes)),
            resource_ids: self.resource_ids.or_else(|| Some(standing.resource_ids.clone())),
            ..self
        }
    }

    pub fn resources(&self) -> &[ResourceId] {
        self.resource_ids.as_deref().unwrap_or_default()
    }

    /// Whom and what the visit takes: locked together, sorted, before anything is read.
    pub fn subjects(&self) -> Vec<Uuid> {
        let resources = self.resources().iter().map(|resource| resource.0);
        [self.doctor_id.0, self.patient_id.0].into_iter().chain(resources).collect()
    }

    /// Whose diaries decide about it, in a span. `moving` is the visit that gives its own time up.
    pub fn asks(&self, within: Span, moving: Option<AppointmentId>) -> Asked<'_> {
        Asked {
            doctor: self.doctor_id,
            within,
            kind: self.kind,
            patient: Some(self.patient_id),
            location: self.location_id,
            resources: self.resources(),
            except: moving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Status::*;

    #[test]
    fn every_step_is_allowed_or_refused_as_the_clinic_expects() {
        let all = [Booked, Confirmed, CheckedIn, InConsultation, Completed, Cancelled, NoShow];
        let allowed = [
            (Booked, Confirmed),
            (Booked, CheckedIn),
            (Booked, Cancelled),
            (Booked, NoShow),
            (Confirmed, CheckedIn),
            (Confirmed, Cancelled),
            (Confirmed, NoShow),
            (CheckedIn, InConsultation),
            (CheckedIn, Cancelled),
            (CheckedIn, NoShow),
            (InConsultation, Completed),
        ];
        for from in all {
            for to in all {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from:?} {to:?}");
            }
        }
    }
}
