//! What a holiday is.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::Object;
use serde::Serialize;

use crate::http::fields::{self, Fields, Readable};
use crate::http::page::Page;
use crate::ids::{HolidayId, LocationId};
use crate::staff::Resolve;
use crate::time::shown;

const LONGEST_DAYS: i64 = 366;

/// A holiday as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, Object)]
pub struct HolidayView {
    pub id: HolidayId,
    /// Null: every one.
    pub location_id: Option<LocationId>,
    /// Of the location's calendar.
    pub first_day: NaiveDate,
    /// Inclusive.
    pub last_day: NaiveDate,
    pub name: String,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// Which holidays: those that touch the days from and to (exclusive), if any are given.
#[derive(Object)]
pub struct ListHolidays {
    pub from: Option<NaiveDate>,
    /// Exclusive.
    pub to: Option<NaiveDate>,
    /// Those of every location are among them.
    pub location_id: Option<LocationId>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    pub page: Option<Page>,
}

impl Readable for ListHolidays {
    fn read(fields: &mut Fields) -> Option<Self> {
        let from = fields.optional("from", fields::date);
        let to = fields.optional("to", fields::date);
        let location_id = fields.optional("location_id", fields::id);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            fields.fault("to", "out_of_range", "later than from");
        }
        let page = Some(Page::read(fields));
        Some(Self { from, to, location_id, limit: None, cursor: None, page })
    }
}

/// What a caller may say of a holiday.
#[derive(Clone, Debug, Object)]
pub struct HolidayRequest {
    /// Every one unless given.
    pub location_id: Option<LocationId>,
    pub first_day: NaiveDate,
    /// Inclusive; the first unless given. At most a year.
    pub last_day: Option<NaiveDate>,
    pub name: String,
    /// What becomes of the visits in it.
    pub resolve: Option<Resolve>,
}

impl Readable for HolidayRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let location_id = fields.optional("location_id", fields::id);
        let first_day = fields.required("first_day", fields::date);
        let last_day = fields.optional("last_day", fields::date).or(first_day);
        let name = fields.required("name", fields::line(1, 100));
        let resolve = fields.optional("resolve", fields::choice);
        match (first_day, last_day) {
            (Some(first), Some(last))
                if !(0..LONGEST_DAYS).contains(&(last - first).num_days()) =>
            {
                fields.fault("last_day", "out_of_range", "the first day or later, within a year");
            }
            // One that is over changes nothing: the year is wrong, more likely. (Where it is may be behind the clinic.)
            (_, Some(last))
                if last < fields.yesterday()
                    && fields.standing("last_day", fields::date) != Some(last) =>
            {
                fields.fault("last_day", "in_the_past", "choose days still to come");
            }
            _ => {}
        }
        Some(Self { location_id, first_day: first_day?, last_day, name: name?, resolve })
    }
}

impl HolidayRequest {
    pub fn last_day(&self) -> NaiveDate {
        self.last_day.unwrap_or(self.first_day)
    }
}
