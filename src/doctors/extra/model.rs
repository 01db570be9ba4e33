//! What an extra day is.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::Object;
use serde::Serialize;

use crate::doctors::availability::{LineView, read_hours};
use crate::doctors::hours::Break;
use crate::doctors::minute::Minute;
use crate::http::fields::{self, Fields, Readable};
use crate::http::page::Page;
use crate::ids::{ExtraHoursId, LocationId};
use crate::time::shown;

/// An extra day as the API shows one, in the civil time of its location.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct ExtraHoursView {
    pub id: ExtraHoursId,
    pub location_id: LocationId,
    pub day: NaiveDate,
    /// `HH:MM`
    pub starts_at: Minute,
    /// `HH:MM`
    pub ends_at: Minute,
    pub breaks: Vec<Break>,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
}

impl ExtraHoursView {
    /// Whether it lies over a line of the weekly hours.
    pub fn overlaps(&self, line: &LineView) -> bool {
        line.applies_on(self.day) && line.starts_at < self.ends_at && self.starts_at < line.ends_at
    }
}

/// Which page of a doctor's extra days.
#[derive(Object)]
pub struct ListExtraHours {
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    pub page: Option<Page>,
}

impl Readable for ListExtraHours {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

/// An extra day to be.
#[derive(Clone, Debug, Object)]
pub struct NewExtraHours {
    pub location_id: LocationId,
    /// Of the location's calendar.
    pub day: NaiveDate,
    /// `HH:MM`
    pub starts_at: Minute,
    /// `HH:MM`, the same day, `24:00` at the latest.
    pub ends_at: Minute,
    /// Within the hours, one after the other.
    #[oai(default)]
    pub breaks: Vec<Break>,
}

impl Readable for NewExtraHours {
    fn read(fields: &mut Fields) -> Option<Self> {
        let location_id = fields.required("location_id", fields::id);
        let day = fields.required("day", fields::date);
        // One that is over changes nothing: the year is wrong, more likely. (Where it is may be behind the clinic.)
        if day.is_some_and(|day| day < fields.yesterday()) {
            fields.fault("day", "in_the_past", "choose a day still to come");
        }
        let (hours, breaks) = read_hours(fields);
        let (starts_at, ends_at) = hours.unzip();
        Some(Self {
            location_id: location_id?,
            day: day?,
            starts_at: starts_at?,
            ends_at: ends_at?,
            breaks,
        })
    }
}
