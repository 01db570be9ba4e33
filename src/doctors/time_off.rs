//! When a doctor is away.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;

use crate::http::fields::{self, Fields, Readable};
use crate::http::page::Page;
use crate::ids::TimeOffId;
use crate::staff::Resolve;
use crate::time::shown;

/// An absence as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, Object)]
pub struct TimeOffView {
    pub id: TimeOffId,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
    /// Not for patients' eyes.
    pub reason: String,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
}

impl TimeOffView {
    /// That a doctor is away, not why.
    pub fn for_patients(self) -> Self {
        Self { reason: String::new(), ..self }
    }
}

/// Which page of a doctor's absences.
#[derive(Object)]
pub struct ListTimeOff {
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    pub page: Option<Page>,
}

impl Readable for ListTimeOff {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

/// An absence to be.
#[derive(Clone, Debug, Object)]
pub struct NewTimeOff {
    pub starts_at: DateTime<Utc>,
    /// Exclusive.
    pub ends_at: DateTime<Utc>,
    pub reason: Option<String>,
    /// What becomes of the visits in it.
    pub resolve: Option<Resolve>,
}

impl Readable for NewTimeOff {
    fn read(fields: &mut Fields) -> Option<Self> {
        let starts_at = fields.required("starts_at", fields::instant);
        let ends_at = fields.required("ends_at", fields::instant);
        let reason = fields.optional("reason", fields::prose(500));
        let resolve = fields.optional("resolve", fields::choice);
        match (starts_at, ends_at) {
            (Some(from), Some(to)) if from >= to => {
                fields.fault("ends_at", "out_of_range", "later than starts_at");
            }
            // An absence that is over changes nothing: the year is wrong, more likely.
            (_, Some(to)) if to <= fields.now() => {
                fields.fault("ends_at", "in_the_past", "choose a time still to come");
            }
            _ => {}
        }
        Some(Self { starts_at: starts_at?, ends_at: ends_at?, reason, resolve })
    }
}
