//! What a waiting room's board shows: tokens, doctors and rooms. No patient is on it, by name or by id.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;

use super::model::{QueueItem, State};
use crate::time::shown;

/// So many of those who wait are shown in their order.
const NEXT: usize = 8;

/// A location's board.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Board {
    pub clinic_name: String,
    pub location_name: String,
    #[serde(with = "shown")]
    pub as_of: DateTime<Utc>,
    pub doctors: Vec<DoctorBoard>,
}

/// A doctor's part of it.
#[derive(Clone, Debug, Serialize, Object)]
pub struct DoctorBoard {
    pub doctor_name: String,
    /// Called, and to come in now.
    pub called: Vec<Shown>,
    /// With the doctor.
    pub inside: Vec<Shown>,
    /// The next of those who wait, in turn.
    pub next: Vec<i32>,
    pub waiting: i64,
}

/// A token, and where it is to go.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Shown {
    pub token: i32,
    pub room: Option<String>,
    /// More than once: it does not come.
    pub calls: i32,
}

impl From<&QueueItem> for Shown {
    fn from(item: &QueueItem) -> Self {
        Self { token: item.token, room: item.room.clone(), calls: item.calls }
    }
}

/// Each doctor of a queue that is in order.
pub fn doctors(queue: &[QueueItem]) -> Vec<DoctorBoard> {
    let of_one = |items: &[QueueItem]| {
        let shown = |state: State| {
            items.iter().filter(|item| item.state == state).map(Shown::from).collect()
        };
        let waiting = || items.iter().filter(|item| item.state.waits());
        DoctorBoard {
            doctor_name: items[0].doctor_name.clone(),
            called: shown(State::Called),
            inside: shown(State::InConsultation),
            next: waiting().take(NEXT).map(|item| item.token).collect(),
            waiting: waiting().count() as i64,
        }
    };
    // After midnight a doctor may have patients of two days, whose numbers both begin with 1.
    queue.chunk_by(|a, b| (a.doctor_id, a.day) == (b.doctor_id, b.day)).map(of_one).collect()
}
