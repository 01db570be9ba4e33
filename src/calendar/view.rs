//! What a calendar on a screen shows: civil days with their bounds, counts and visits. Pure.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::store::DayRow;
use crate::appointments::{Kind, Status};
use crate::doctors::hours::Span;
use crate::http::fields::{self, Fields, Readable};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};
use crate::time::{self, shown};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum View {
    Day,
    /// From Monday.
    Week,
    Month,
}

impl View {
    /// Its first day, and the one after its last.
    pub fn bounds(self, date: NaiveDate) -> (NaiveDate, NaiveDate) {
        match self {
            View::Day => (date, date + Days::new(1)),
            View::Week => {
                let monday = date - Days::new(u64::from(date.weekday().num_days_from_monday()));
                (monday, monday + Days::new(7))
            }
            View::Month => {
                let first = date - Days::new(u64::from(date.day0()));
                (first, first + Months::new(1))
            }
        }
    }

    /// How many visits of a day are shown: a month's days have room for a few.
    pub fn most_items(self) -> i64 {
        match self {
            View::Day => 400,
            View::Week => 100,
            View::Month => 6,
        }
    }
}

/// Which calendar.
#[derive(Object)]
pub struct ShowCalendar {
    pub view: View,
    /// A day of it; today unless given. In the location's zone when one is given, else the clinic's.
    pub date: Option<NaiveDate>,
    pub doctor_id: Option<DoctorId>,
    pub location_id: Option<LocationId>,
}

impl Readable for ShowCalendar {
    fn read(fields: &mut Fields) -> Option<Self> {
        let view = fields.required("view", fields::choice);
        let date = fields.optional("date", fields::date);
        let doctor_id = fields.optional("doctor_id", fields::id);
        let location_id = fields.optional("location_id", fields::id);
        Some(Self { view: view?, date, doctor_id, location_id })
    }
}

/// A visit in short; `GET /appointments/{id}` has the rest.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[oai(rename = "CalendarVisit")]
pub struct Short {
    pub id: AppointmentId,
    pub number: String,
    pub patient_id: PatientId,
    pub patient_name: String,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    pub kind: Kind,
    pub status: Status,
    #[serde(serialize_with = "shown::serialize")]
    pub starts_at: DateTime<Utc>,
    #[serde(serialize_with = "shown::serialize")]
    pub ends_at: DateTime<Utc>,
    pub overbooked: bool,
    pub late_cancelled: bool,
}

/// A holiday that a day is part of.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[oai(rename = "CalendarHoliday")]
pub struct HolidayView {
    pub name: String,
    /// Null: at every one.
    pub location_id: Option<LocationId>,
}

/// How many visits there are, by status.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Object)]
#[oai(rename = "CalendarCounts")]
pub struct Counts {
    /// All of them, also those that came to nothing.
    pub total: i64,
    pub booked: i64,
    pub confirmed: i64,
    pub checked_in: i64,
    pub in_consultation: i64,
    pub completed: i64,
    pub cancelled: i64,
    pub no_show: i64,
    /// Of those that stand: how many double a time on purpose.
    pub overbooked: i64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.total += other.total;
        self.booked += other.booked;
        self.confirmed += other.confirmed;
        self.checked_in += other.checked_in;
        self.in_consultation += other.in_consultation;
        self.completed += other.completed;
        self.cancelled += other.cancelled;
        self.no_show += other.no_show;
        self.overbooked += other.overbooked;
    }
}

/// A civil day. A visit is of the day on which it begins.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "CalendarDay")]
pub struct DayView {
    pub date: NaiveDate,
    /// Its first instant: not midnight, where the clocks skip it.
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    /// The first instant of the next: 23 or 25 hours later, where the clocks change.
    #[serde(with = "shown")]
    pub ends_at: DateTime<Utc>,
    pub is_today: bool,
    /// Of the location that is asked for and of the whole clinic; unless one is asked for, of all.
    pub holidays: Vec<HolidayView>,
    pub counts: Counts,
    /// By time: 400 at most in a day's view, 100 for each day of a week, 6 for each of a month.
    pub items: Vec<Short>,
    /// How many there are beside those shown.
    pub more: i64,
}

/// A day, a week or a month.
#[derive(Clone, Debug, Serialize, Object)]
pub struct CalendarView {
    pub view: View,
    pub from: NaiveDate,
    /// Exclusive.
    pub to: NaiveDate,
    /// The zone of the days.
    pub time_zone: String,
    /// Of all its days.
    pub counts: Counts,
    pub days: Vec<DayView>,
}

/// The days of a view.
pub struct Frame {
    pub view: View,
    pub zone: Tz,
    pub dates: Vec<NaiveDate>,
    pub spans: Vec<Span>,
}

impl Frame {
    pub fn new(view: View, date: NaiveDate, zone: Tz) -> Self {
        let (from, to) = view.bounds(date);
        let dates: Vec<NaiveDate> = from.iter_days().take_while(|date| *date < to).collect();
        let span = |date: &NaiveDate| {
            let (from, to) = time::day_bounds(zone, *date);
            Span::new(from, to)
        };
        let spans = dates.iter().map(span).collect();
        Self { view, zone, dates, spans }
    }

    /// The view, once each day's row is read.
    pub fn filled(self, rows: Vec<DayRow>, today: NaiveDate) -> CalendarView {
        let (from, to) = self.view.bounds(self.dates[0]);
        let mut counts = Counts::default();
        let days = self.dates.iter().zip(&self.spans).zip(rows).map(|((date, span), row)| {
            counts.add(&row.counts);
            DayView {
                date: *date,
                starts_at: span.from,
                ends_at: span.to,
                is_today: *date == today,
                holidays: row.holidays,
                more: row.counts.total - row.items.len() as i64,
                counts: row.counts,
                items: row.items,
            }
        });
        let days = days.collect();
        let time_zone = self.zone.name().to_owned();
        CalendarView { view: self.view, from, to, time_zone, counts, days }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday_and_months_on_their_first() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        for (view, date, from, to) in [
            (View::Day, "2026-12-31", "2026-12-31", "2027-01-01"),
            (View::Week, "2026-11-22", "2026-11-16", "2026-11-23"),
            (View::Week, "2026-11-23", "2026-11-23", "2026-11-30"),
            (View::Week, "2027-01-01", "2026-12-28", "2027-01-04"),
            (View::Month, "2028-02-29", "2028-02-01", "2028-03-01"),
            (View::Month, "2026-12-31", "2026-12-01", "2027-01-01"),
        ] {
            assert_eq!(view.bounds(day(date)), (day(from), day(to)), "{view:?} of {date}");
        }
    }

    #[test]
    fn the_days_of_a_view_follow_each_other_through_a_change_of_the_clocks() {
        let berlin = time::zone("Europe/Berlin").unwrap();
        let frame = Frame::new(View::Month, "2026-10-15".parse().unwrap(), berlin);
        assert_eq!(frame.spans.len(), 31);
        assert!(frame.spans.windows(2).all(|pair| pair[0].to == pair[1].from));
        let hours: Vec<i64> =
            frame.spans.iter().map(|day| (day.to - day.from).num_hours()).collect();
        assert_eq!(hours.iter().filter(|hours| **hours == 25).count(), 1);
        assert_eq!(hours[24], 25);
    }
}
