//! Whom a time fits: pure rules, by the calendar and the clock of the place where the visit would be.

use chrono::{Datelike, NaiveDate, NaiveTime};
use chrono_tz::Tz;

use crate::doctors::hours::Span;

/// When somebody could come. What is not said is all the same to him.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// ISO: Monday is 1. None: any.
    pub weekdays: Vec<i16>,
    /// The visit begins then or later.
    pub from_time: Option<NaiveTime>,
    /// And is over by then.
    pub to_time: Option<NaiveTime>,
    pub first_day: Option<NaiveDate>,
    /// Inclusive.
    pub last_day: Option<NaiveDate>,
}

impl Wish {
    pub fn admits(&self, visit: Span, zone: Tz) -> bool {
        let from = visit.from.with_timezone(&zone).naive_local();
        let to = visit.to.with_timezone(&zone).naive_local();
        let day = from.date();
        let weekday = day.weekday().number_from_monday();
        (self.weekdays.is_empty()
            || self.weekdays.iter().any(|one| u32::try_from(*one) == Ok(weekday)))
            && self.first_day.is_none_or(|first| first <= day)
            && self.last_day.is_none_or(|last| day <= last)
            && self.from_time.is_none_or(|time| time <= from.time())
            && self.to_time.is_none_or(|time| to <= day.and_time(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    /// A visit in Kochi, by its clock.
    fn visit(from: &str, to: &str) -> Span {
        let at = |text: &str| DateTime::parse_from_rfc3339(&format!("{text}:00+05:30")).unwrap();
        Span::new(at(from).to_utc(), at(to).to_utc())
    }

    fn time(text: &str) -> Option<NaiveTime> {
        Some(text.parse().unwrap())
    }

    fn day(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_time_fits_by_the_calendar_and_the_clock_of_its_place() {
        let monday_at_ten = || visit("2099-01-05T10:00", "2099-01-05T10:30");
        let any = Wish::default;
        for (name, wish, visit, fits) in [
            ("whenever", any(), monday_at_ten(), true),
            ("Mondays", Wish { weekdays: vec![1], ..any() }, monday_at_ten(), true),
            ("not Mondays", Wish { weekdays: vec![2, 7], ..any() }, monday_at_ten(), false),
            ("from ten", Wish { from_time: time("10:00:00"), ..any() }, monday_at_ten(), true),
            (
                "from a minute past ten",
                Wish { from_time: time("10:01:00"), ..any() },
                monday_at_ten(),
                false,
            ),
            ("until half past", Wish { to_time: time("10:30:00"), ..any() }, monday_at_ten(), true),
            (
                "until a minute before",
                Wish { to_time: time("10:29:00"), ..any() },
                monday_at_ten(),
                false,
            ),
            (
                "over midnight",
                Wish { to_time: time("23:59:00"), ..any() },
                visit("2099-01-05T23:50", "2099-01-06T00:10"),
                false,
            ),
            (
                "that day",
                Wish { first_day: day("2099-01-05"), last_day: day("2099-01-05"), ..any() },
                monday_at_ten(),
                true,
            ),
            ("later", Wish { first_day: day("2099-01-06"), ..any() }, monday_at_ten(), false),
            ("sooner", Wish { last_day: day("2099-01-04"), ..any() }, monday_at_ten(), false),
            (
                "Monday there, Sunday in London",
                Wish { weekdays: vec![1], ..any() },
                visit("2099-01-05T04:00", "2099-01-05T04:30"),
                true,
            ),
        ] {
            assert_eq!(wish.admits(visit, chrono_tz::Asia::Kolkata), fits, "{name}");
        }
    }
}
