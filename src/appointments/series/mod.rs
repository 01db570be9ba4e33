//! Series: the same hour every so many days, or a course on days of its own. All of it is booked or nothing, and each visit is
//! afterwards one like any other.

pub mod api;
mod plan;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use poem_openapi::Object;
use serde::Serialize;
use serde_json::json;

use self::plan::nearest;
use super::book::{BookError, Booker, Choice, Word, decided_by, place_of, write};
use super::diary::{self, Diary};
use super::model::{AppointmentRequest, AppointmentView, starting_time};
use super::store;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::error::FieldError;
use crate::http::fields::{self, Fields, Readable};
use crate::ids::SeriesId;
use crate::time::{self, shown};

/// Visits in one series at most.
pub const MOST: usize = 60;

/// From its first visit to its last at most, in days.
pub const LONGEST_DAYS: i64 = 730;

/// What a caller asks for: what all visits have in common, and when they are. `starts_at` is the first; then either `every_days`
/// and `count`, or `starts` with all of them.
#[derive(Clone, Debug, Object)]
pub struct SeriesRequest {
    #[oai(flatten)]
    pub visit: AppointmentRequest,
    /// 1 to 90; 7 is weekly. The visits keep the first one's civil time, also when the clocks change.
    pub every_days: Option<i64>,
    /// 2 to 60 visits, the first included.
    pub count: Option<i64>,
    /// In place of both: all the times, the first included, in order. A `plan` that was proposed is booked with these.
    pub starts: Option<Vec<DateTime<Utc>>>,
}

impl Readable for SeriesRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_listed = fields.has("starts");
        let starts = fields.list("starts", MOST, starting_time);
        let (every, many) = (fields::integer(1, 90), fields::integer(2, MOST as i64));
        let (every_days, count) = match is_listed {
            true => (fields.optional("every_days", every), fields.optional("count", many)),
            false => (fields.required("every_days", every), fields.required("count", many)),
        };
        let visit = AppointmentRequest::read(fields);
        match &starts {
            Some(_) if every_days.is_some() || count.is_some() => {
                fields.fault("starts", "conflicting", "either starts, or every_days and count");
            }
            Some(starts) => {
                let in_order = starts.windows(2).all(|pair| pair[0] < pair[1]);
                let first = visit.as_ref().map(|visit| visit.starts_at);
                if starts.len() < 2 || !in_order || first.is_some_and(|at| starts[0] != at) {
                    let words = "two at least, in order, and starts_at is the first";
                    fields.fault("starts", "invalid_format", words);
                } else if starts[starts.len() - 1] - starts[0] > TimeDelta::days(LONGEST_DAYS) {
                    fields.fault("starts", "out_of_range", "within two years");
                }
            }
            None => {
                if let (Some(every), Some(count)) = (every_days, count)
                    && every * (count - 1) > LONGEST_DAYS
                {
                    fields.fault("count", "out_of_range", "the last within two years of the first");
                } else if is_listed && (every_days.is_none() || count.is_none()) {
                    fields.fault("starts", "required", "starts, or every_days and count");
                }
            }
        }
        Some(Self { visit: visit?, every_days, count, starts })
    }
}

impl SeriesRequest {
    /// All that it may touch by the clock of any place, with the day before the first and the day after the last: a plan may need
    /// them.
    fn around(&self) -> Span {
        let first = self.visit.starts_at;
        let last = match &self.starts {
            Some(starts) => starts.last().copied().unwrap_or(first),
            None => {
                first
                    + TimeDelta::days(self.every_days.unwrap_or(1) * (self.count.unwrap_or(1) - 1))
            }
        };
        let a_day = TimeDelta::days(1);
        Span::new(first - a_day, self.visit.widest().to + (last - first) + a_day * 2)
    }

    /// When its visits are, in the zone where the first one is.
    fn times(&self, zone: Tz) -> Vec<DateTime<Utc>> {
        if let Some(starts) = &self.starts {
            return starts.clone();
        }
        let first = self.visit.starts_at;
        let civil = first.with_timezone(&zone).naive_local();
        let step = TimeDelta::days(self.every_days.unwrap_or(1));
        let later = (1..self.count.unwrap_or(1))
            .filter_map(|n| civil.checked_add_signed(step * i32::try_from(n).ok()?))
            .map(|civil| time::earliest(zone, civil));
        std::iter::once(first).chain(later).collect()
    }
}

/// A visit that cannot be, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    /// `slot_taken`, or the code that booking it alone would be refused with.
    pub code: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error(transparent)]
    Conflicts(Box<Conflicts>),
    #[error(transparent)]
    Book(#[from] BookError),
}

/// The visits that cannot be, and what a plan is sought in: that takes its time, so the locks are given back first.
#[derive(Debug, thiserror::Error)]
#[error("{} visits of the series cannot be", .conflicts.len())]
pub struct Conflicts {
    pub conflicts: Vec<Conflict>,
    times: Vec<DateTime<Utc>>,
    diary: Diary,
}

impl Conflicts {
    /// The nearest times that can be, if there are any.
    pub fn plan(
        self,
        new: &SeriesRequest,
        by: Booker,
        now: DateTime<Utc>,
    ) -> Option<Vec<DateTime<Utc>>> {
        nearest(self.diary, &new.visit, &self.times, by, now)
    }
}

impl From<sqlx::Error> for SeriesError {
    fn from(error: sqlx::Error) -> Self {
        Self::Book(error.into())
    }
}

/// A series that was booked.
#[derive(Clone, Debug, Serialize, Object)]
pub struct SeriesView {
    pub id: SeriesId,
    pub items: Vec<AppointmentView>,
}

/// Books them all, or says which cannot be. The transaction is one opened for telling, with the subjects of the visits locked. Its
/// civil time is that of the place where the first visit is; where the doctor never sits then, that of `zone`.
///
/// The patient hears of the first at once, and of each by its reminders: twenty messages in a row would be noise.
pub async fn book(
    tx: &mut Tx,
    new: &SeriesRequest,
    zone: Tz,
    by: Booker,
    now: DateTime<Utc>,
) -> Result<SeriesView, SeriesError> {
    let mut diary = diary::read(tx, &new.visit.asks(new.around(), None), now).await?;
    let stood = diary.taken.len();
    let times = new.times(place_of(&diary, &new.visit).map_or(zone, |open| open.zone));
    let visits: Vec<AppointmentRequest> =
        times.iter().map(|at| AppointmentRequest { starts_at: *at, ..new.visit.clone() }).collect();
    let (mut decided, mut conflicts) = (Vec::new(), Vec::new());
    for visit in &visits {
        match decided_by(&diary, visit, by, Choice::Given, now) {
            Ok(one) => {
                diary.take(&one.claims);
                decided.push(one);
            }
            Err(error) => conflicts.push(conflict(visit, error)?),
        }
    }
    if !conflicts.is_empty() {
        diary.taken.truncate(stood);
        return Err(SeriesError::Conflicts(Box::new(Conflicts { conflicts, times, diary })));
    }
    if diary.has_lapsed {
        store::forget_lapsed(tx, &new.visit.subjects(), now).await?;
    }
    let id = SeriesId::new();
    store::insert_series(tx, id, new.visit.patient_id).await?;
    let mut items = Vec::with_capacity(visits.len());
    for (nth, (visit, one)) in visits.iter().zip(decided).enumerate() {
        let word = if nth == 0 { Word::Given } else { Word::Withheld };
        items.push(write(tx, visit, one, Some(id), word, now).await?);
    }
    let act = Act::new("series.booked", "series", id).about(new.visit.patient_id);
    audit::record(tx, act.details(json!({ "visits": items.len() }))).await?;
    Ok(SeriesView { id, items })
}

/// What stands in the way of one visit. What is wrong with all of them (nobody of this id) is no conflict.
fn conflict(visit: &AppointmentRequest, error: BookError) -> Result<Conflict, BookError> {
    let of_its_time = |error: &FieldError| error.pointer.as_deref() == Some("/starts_at");
    let code = match &error {
        BookError::SlotTaken => "slot_taken".to_owned(),
        BookError::Invalid(errors) if errors.iter().all(of_its_time) && !errors.is_empty() => {
            errors[0].code.to_string()
        }
        _ => return Err(error),
    };
    Ok(Conflict { starts_at: visit.starts_at, code })
}
