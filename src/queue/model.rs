//! What stands in a queue, and as what it is shown. Nothing here reads a database, a clock or the network.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::wait::WaitRange;
use crate::appointments::Status;
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};
use crate::time::{shown, shown_if_any};

/// Why somebody need not wait for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "QueuePriority")]
pub enum Priority {
    None,
    Elderly,
    Pregnant,
    Emergency,
}

/// From this age on somebody is elderly unless the desk says otherwise.
const ELDERLY: i32 = 65;

impl Priority {
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::None => "none",
            Priority::Elderly => "elderly",
            Priority::Pregnant => "pregnant",
            Priority::Emergency => "emergency",
        }
    }

    /// What the desk said; else by age.
    pub fn of(said: Option<Priority>, age: Option<i32>) -> Self {
        let by_age =
            if age.is_some_and(|age| age >= ELDERLY) { Priority::Elderly } else { Priority::None };
        said.unwrap_or(by_age)
    }

    /// Whether it goes some minutes before its time.
    pub fn has_head_start(self) -> bool {
        matches!(self, Priority::Elderly | Priority::Pregnant)
    }
}

/// What a token itself says while its patient waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Mark {
    Waiting,
    Called,
    Skipped,
}

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "QueueState")]
pub enum State {
    Waiting,
    /// On the board, and not with the doctor yet.
    Called,
    /// Was called and did not come: goes after the next few.
    Skipped,
    InConsultation,
    Done,
    /// Cancelled, or sent away.
    Gone,
}

impl State {
    /// None for a visit that is not here (any more): one that was reopened.
    pub fn of(status: Status, mark: Mark) -> Option<Self> {
        match status {
            Status::Booked | Status::Confirmed => None,
            Status::CheckedIn => Some(match mark {
                Mark::Waiting => State::Waiting,
                Mark::Called => State::Called,
                Mark::Skipped => State::Skipped,
            }),
            Status::InConsultation => Some(State::InConsultation),
            Status::Completed => Some(State::Done),
            Status::Cancelled | Status::NoShow => Some(State::Gone),
        }
    }

    pub fn waits(self) -> bool {
        matches!(self, State::Waiting | State::Skipped)
    }
}

/// By what somebody's turn goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum GoesBy {
    /// Before all others; among such, by arrival.
    Emergency,
    /// Came in time.
    AppointmentTime,
    /// Came late.
    CheckInTime,
    /// Walked in.
    Arrival,
}

/// A token with what its turn goes by, as it is on record.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TokenRow {
    pub appointment_id: AppointmentId,
    pub number: i32,
    pub day: NaiveDate,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    pub patient_id: PatientId,
    pub patient_name: String,
    pub age: Option<i32>,
    pub walk_in: bool,
    pub priority: Option<Priority>,
    pub state: Mark,
    pub called_at: Option<DateTime<Utc>>,
    pub calls: i32,
    pub nth_call: Option<i32>,
    pub skips: i32,
    pub skipped_after: Option<i32>,
    pub version: i64,
    pub status: Status,
    pub starts_at: DateTime<Utc>,
    pub checked_in_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub room: Option<String>,
    pub capacity: i16,
    pub slot_minutes: i32,
    /// How many of the doctor's last consultations are known, and how long they took, in seconds.
    pub known: i64,
    pub quarter: Option<f64>,
    pub three_quarters: Option<f64>,
    /// False of those of the day before who have gone: they are not shown, and count among the calls of their day.
    pub is_here: bool,
}

/// Somebody in a queue.
#[derive(Clone, Debug, Serialize, Object)]
pub struct QueueItem {
    pub appointment_id: AppointmentId,
    /// The civil day of its queue.
    pub day: NaiveDate,
    /// The number by which the patient is called.
    pub token: i32,
    pub state: State,
    /// From 1, of those who wait.
    pub place: Option<i64>,
    /// Of those who wait: about how long yet.
    pub wait: Option<WaitRange>,
    pub priority: Priority,
    pub goes_by: GoesBy,
    /// Whoever waits goes by this time: the appointment's, or that of coming; with a head start for who is elderly or pregnant.
    #[serde(with = "shown")]
    pub due_at: DateTime<Utc>,
    pub walk_in: bool,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    /// Of those that the visit takes.
    pub room: Option<String>,
    pub patient_id: PatientId,
    pub patient_name: String,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown_if_any")]
    pub checked_in_at: Option<DateTime<Utc>>,
    /// The last time.
    #[serde(with = "shown_if_any")]
    pub called_at: Option<DateTime<Utc>>,
    pub calls: i32,
    pub skips: i32,
    /// Of the token, for `If-Match`.
    pub version: i64,
}
