//! What waits, and what is offered. Nothing here reads a database.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::line::Wish;
use crate::appointments::{AppointmentRequest, Kind};
use crate::doctors::hours::Span;
use crate::http::fields::{self, Fault, Fields, Readable};
use crate::http::page::Page;
use crate::ids::{AppointmentId, DoctorId, HoldId, LocationId, PatientId, WaitlistId};
use crate::time::shown;

/// Where somebody on the list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "WaitlistStatus")]
pub enum Status {
    Waiting,
    /// A time is kept for him: `offer` says which.
    Offered,
    /// It came to a visit.
    Booked,
    Withdrawn,
    /// The last day on which he could come is over.
    Expired,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::Offered => "offered",
            Status::Booked => "booked",
            Status::Withdrawn => "withdrawn",
            Status::Expired => "expired",
        }
    }
}

/// A time that is kept for somebody until he says yes or no.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct OfferView {
    pub id: HoldId,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
    /// It is kept until then.
    #[serde(with = "shown")]
    pub until: DateTime<Utc>,
}

/// Somebody who waits, as the API shows him.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct WaitlistView {
    pub id: WaitlistId,
    pub patient_id: PatientId,
    pub patient_name: String,
    pub doctor_id: Option<DoctorId>,
    pub doctor_name: Option<String>,
    pub specialty: Option<String>,
    pub location_id: Option<LocationId>,
    pub kind: Kind,
    pub duration_minutes: Option<i64>,
    pub weekdays: Vec<i16>,
    /// `HH:MM`, by the clock of the location.
    pub from_time: Option<String>,
    pub to_time: Option<String>,
    pub first_day: Option<NaiveDate>,
    pub last_day: Option<NaiveDate>,
    pub reason: String,
    pub address: String,
    pub status: Status,
    /// The time that is kept for him now.
    pub offer: Option<OfferView>,
    /// What came of it.
    pub appointment_id: Option<AppointmentId>,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// Who wants to be told of a time: a doctor or a specialty, and when he could come.
#[derive(Clone, Debug, Object)]
pub struct WaitlistRequest {
    pub patient_id: PatientId,
    /// Either a doctor ...
    pub doctor_id: Option<DoctorId>,
    /// ... or whoever has this specialty.
    pub specialty: Option<String>,
    /// Any unless given.
    pub location_id: Option<LocationId>,
    /// `in_person` unless given.
    pub kind: Option<Kind>,
    /// 5 to 480; as long as such visits are unless given.
    pub duration_minutes: Option<i64>,
    /// 1 (Monday) to 7; any unless given.
    pub weekdays: Option<Vec<i16>>,
    /// `HH:MM` by the clock of the location: the visit begins then or later ...
    pub from_time: Option<String>,
    /// ... and is over by then.
    pub to_time: Option<String>,
    pub first_day: Option<NaiveDate>,
    /// Inclusive; until it is withdrawn unless given.
    pub last_day: Option<NaiveDate>,
    pub reason: Option<String>,
    /// Wanted for a home visit.
    pub address: Option<String>,
    #[oai(skip)]
    pub wish: Wish,
}

/// Minutes count; nothing here is a matter of seconds.
fn minute(value: serde_json::Value) -> Result<NaiveTime, Fault> {
    use chrono::Timelike;
    let time = fields::time_of_day(value)?;
    match time.second() {
        0 => Ok(time),
        _ => Err(Fault("invalid_format", "expected HH:MM".into())),
    }
}

impl Readable for WaitlistRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_for_nobody = !fields.gives("doctor_id") && !fields.gives("specialty");
        let patient_id = fields.required("patient_id", fields::id);
        let doctor_id = fields.optional("doctor_id", fields::id);
        let specialty = fields.optional("specialty", fields::line(1, 100));
        let location_id = fields.optional("location_id", fields::id);
        let kind = fields.optional("kind", fields::choice);
        let duration_minutes = fields.optional("duration_minutes", fields::integer(5, 480));
        let weekdays = fields.list("weekdays", 7, fields::integer(1, 7)).unwrap_or_default();
        let from_time = fields.optional("from_time", minute);
        let to_time = fields.optional("to_time", minute);
        let first_day = fields.optional("first_day", fields::date);
        let last_day = fields.optional("last_day", fields::date);
        let reason = fields.optional("reason", fields::prose(500));
        let address = fields.optional("address", fields::prose(500)).filter(|a| !a.is_empty());
        match (doctor_id, &specialty) {
            (Some(_), Some(_)) => {
                fields.fault("specialty", "conflicting", "either a doctor or a specialty");
            }
            _ if is_for_nobody => {
                fields.fault("doctor_id", "required", "a doctor, or a specialty");
            }
            _ => {}
        }
        if from_time.zip(to_time).is_some_and(|(from, to)| from >= to) {
            fields.fault("to_time", "out_of_range", "later than from_time");
        }
        if first_day.zip(last_day).is_some_and(|(first, last)| first > last) {
            fields.fault("last_day", "out_of_range", "the first day or later");
        } else if last_day.is_some_and(|last| last < fields.yesterday()) {
            fields.fault("last_day", "in_the_past", "choose a day still to come");
        }
        if kind == Some(Kind::HomeVisit) && address.is_none() {
            fields.fault("address", "required", "a home visit needs an address");
        }
        let mut weekdays: Vec<i16> = weekdays.into_iter().map(|day| day as i16).collect();
        weekdays.sort_unstable();
        weekdays.dedup();
        Some(Self {
            patient_id: patient_id?,
            doctor_id,
            specialty,
            location_id,
            kind,
            duration_minutes,
            weekdays: None,
            from_time: None,
            to_time: None,
            first_day,
            last_day,
            reason,
            address,
            wish: Wish { weekdays, from_time, to_time, first_day, last_day },
        })
    }
}

/// Which of those who wait, in their order.
#[derive(Object)]
pub struct ListWaitlist {
    pub patient_id: Option<PatientId>,
    /// Those who wait for this doctor by name.
    pub doctor_id: Option<DoctorId>,
    pub status: Option<Status>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    pub page: Option<Page>,
}

impl Readable for ListWaitlist {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            patient_id: fields.optional("patient_id", fields::id),
            doctor_id: fields.optional("doctor_id", fields::id),
            status: fields.optional("status", fields::choice),
            limit: None,
            cursor: None,
            page: Some(Page::read(fields)),
        })
    }
}

/// Somebody whom a freed time may be offered to.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: WaitlistId,
    pub patient_id: PatientId,
    pub location_id: Option<LocationId>,
    pub kind: Kind,
    pub duration_minutes: Option<i64>,
    pub wish: Wish,
    pub reason: String,
    pub address: String,
    /// The doctor's times that he was asked about before.
    pub had: Vec<DateTime<Utc>>,
    /// He has an offer to think about: no other until then.
    pub considers: bool,
}

impl Waiting {
    /// The visit that would come of a time.
    pub fn request(&self, doctor: DoctorId, location: LocationId, at: Span) -> AppointmentRequest {
        let words = (self.reason.as_str(), self.address.as_str());
        visit(self.patient_id, doctor, location, at, self.kind, words)
    }
}

/// What is asked for when a time is kept, and when it is booked; `words` are its reason and its address.
pub fn visit(
    patient: PatientId,
    doctor: DoctorId,
    location: LocationId,
    at: Span,
    kind: Kind,
    (reason, address): (&str, &str),
) -> AppointmentRequest {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    AppointmentRequest {
        patient_id: patient,
        doctor_id: doctor,
        location_id: Some(location),
        kind,
        starts_at: at.from,
        duration_minutes: Some((at.to - at.from).num_minutes()),
        reason: text(reason),
        address: text(address),
        resource_ids: None,
        overbook: None,
    }
}
