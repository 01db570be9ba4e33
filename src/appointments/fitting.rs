//! Whether a visit fits: one rule for the slot that is offered and for the booking that asks for it. Nothing here reads a
//! database or a clock.

use std::collections::HashMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::diary::{Diary, DoctorDiary, Rules};
use super::seats::{Taken, seat_for};
use crate::doctors::hours::{But, Open, Span, starts_within};
use crate::ids::LocationId;
use crate::time;

/// A seat of a subject and for how long: the visit, and for the doctor and the resources what is kept free around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub subject: Uuid,
    pub seat: i16,
    pub during: Span,
}

/// What a visit takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    pub claims: Vec<Claim>,
    /// True when something is taken twice by it, or the doctor has more visits that day than are wanted.
    pub doubled: bool,
}

/// Why a patient may not book a time that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    TooSoon,
    TooFar,
}

/// How far ahead patients book.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    from: DateTime<Utc>,
    now: DateTime<Utc>,
    days: Option<i32>,
}

impl Window {
    pub fn of_patients(rules: &Rules, now: DateTime<Utc>) -> Self {
        let lead = TimeDelta::minutes(i64::from(rules.lead_minutes));
        Self { from: now + lead, now, days: rules.horizon_days }
    }

    /// Whether a patient may book what begins then. The last day is a whole one, where the visit is.
    pub fn admits(&self, starts_at: DateTime<Utc>, zone: Tz) -> Result<(), NotNow> {
        if starts_at < self.from {
            return Err(NotNow::TooSoon);
        }
        let last = self.days.and_then(|days| {
            time::date_in(zone, self.now).checked_add_days(Days::new(u64::try_from(days).ok()?))
        });
        match last {
            Some(last) if time::date_in(zone, starts_at) > last => Err(NotNow::TooFar),
            _ => Ok(()),
        }
    }
}

/// Somebody or something that a visit takes, as its claims pass by.
struct Subject {
    id: Uuid,
    capacity: i16,
    before: TimeDelta,
    after: TimeDelta,
    taken: Passing<Taken>,
}

/// A doctor's visits by civil day: each counts on that on which the doctor's time begins to be taken.
struct PerDay {
    most: usize,
    before: TimeDelta,
    begins: Vec<DateTime<Utc>>,
    counted: HashMap<Tz, HashMap<NaiveDate, usize>>,
}

impl PerDay {
    fn is_full(&mut self, at: DateTime<Utc>, zone: Tz) -> bool {
        let begins = &self.begins;
        let days = self.counted.entry(zone).or_insert_with(|| {
            let mut days = HashMap::new();
            for begin in begins {
                *days.entry(time::date_in(zone, *begin)).or_default() += 1;
            }
            days
        });
        days.get(&time::date_in(zone, at - self.before)).is_some_and(|count| *count >= self.most)
    }
}

/// Whoever a visit takes, asked about one time after the other.
pub struct Fitting {
    subjects: Vec<Subject>,
    per_day: Option<PerDay>,
}

impl Fitting {
    /// Of a diary whose doctor is there: the doctor, the patient if one is asked for, and the resources.
    pub fn new(diary: &Diary, doctor: &DoctorDiary) -> Self {
        let minutes = |minutes: i32| TimeDelta::minutes(i64::from(minutes));
        let (before, after) =
            (minutes(diary.rules.before_minutes), minutes(diary.rules.after_minutes));
        let none = TimeDelta::zero();
        let subject = |id: Uuid, capacity, (before, after)| {
            let taken = diary.taken.iter().filter(|(of, _)| *of == id).map(|(_, taken)| *taken);
            let taken = Passing::new(taken.collect(), |taken: &Taken| taken.span);
            Subject { id, capacity, before, after, taken }
        };
        // A patient is not busy while the room is aired.
        let patient = diary.patient.iter().map(|one| subject(one.id.0, 1, (none, none)));
        let resources =
            diary.resources.iter().map(|one| subject(one.id.0, one.capacity, (before, after)));
        let subjects = std::iter::once(subject(doctor.id.0, doctor.capacity, (before, after)))
            .chain(patient)
            .chain(resources)
            .collect();
        let per_day = doctor.max_per_day.map(|most| PerDay {
            most: usize::try_from(most).unwrap_or(0),
            before,
            begins: diary
                .taken
                .iter()
                .filter(|(of, _)| *of == doctor.id.0)
                .map(|(_, taken)| taken.span.from)
                .collect(),
            counted: HashMap::new(),
        });
        Self { subjects, per_day }
    }

    /// What a visit takes, or none if it does not fit and nobody overbooks on purpose. Each call names a visit that begins no
    /// earlier than the one before.
    pub fn seats(&mut self, visit: Span, zone: Tz, overbook: bool) -> Option<Seated> {
        let full = self.per_day.as_mut().is_some_and(|days| days.is_full(visit.from, zone));
        if full && !overbook {
            return None;
        }
        let mut doubled = full;
        let mut claims = Vec::with_capacity(self.subjects.len());
        for Subject { id, capacity, before, after, taken } in &mut self.subjects {
            let during = Span::new(visit.from - *before, visit.to + *after);
            let seat = seat_for(taken.at(during), during, *capacity, overbook)?;
            doubled |= seat >= *capacity;
            claims.push(Claim { subject: *id, seat, during });
        }
        Some(Seated { claims, doubled })
    }
}

/// How long a visit is unless somebody says otherwise.
pub fn usual_length(diary: &Diary, doctor: &DoctorDiary) -> TimeDelta {
    let minutes = diary.rules.slot_minutes.unwrap_or(doctor.slot_minutes);
    TimeDelta::minutes(i64::from(minutes))
}

/// Where a visit may be: where it is asked for, and where all its resources are.
pub fn is_place(diary: &Diary, wanted: Option<LocationId>, location: LocationId) -> bool {
    let has = |there: Option<LocationId>| there.is_none_or(|there| there == location);
    has(wanted) && diary.resources.iter().all(|resource| has(resource.location_id))
}

/// The visits of this length that begin where one is offered while the doctor is not away, in order: one every slot, with
/// what is kept free around it, from the start of the day's line. A stretch is that of the hours alone: time off cuts slots out, it
/// does not shift the grid.
pub fn offered(
    diary: &Diary,
    doctor: &DoctorDiary,
    within: Span,
    wanted: Option<LocationId>,
    length: TimeDelta,
    now: DateTime<Utc>,
) -> Vec<Open> {
    if !doctor.active {
        return Vec::new();
    }
    let around = i64::from(diary.rules.before_minutes) + i64::from(diary.rules.after_minutes);
    let step = usual_length(diary, doctor) + TimeDelta::minutes(around);
    let mut starts: Vec<Open> = doctor
        .sittings
        .open(within, But::TimeOff)
        .into_iter()
        .filter(|open| is_place(diary, wanted, open.location_id))
        .flat_map(|open| starts_within(&open, step, length).map(move |span| Open { span, ..open }))
        .filter(|open| open.span.from > now && within.contains(&open.span))
        .collect();
    starts.sort_by_key(|open| open.span);
    starts.dedup_by_key(|open| open.span);
    let mut away = Passing::new(doctor.sittings.time_off.clone(), |off| *off);
    starts.retain(|open| !away.at(open.span).iter().any(|off| off.overlaps(&open.span)));
    starts
}

/// Of what is [`offered`], that which is free, and open to patients when a patient asks.
pub fn free(
    diary: &Diary,
    within: Span,
    wanted: Option<LocationId>,
    length: Option<TimeDelta>,
    patients: bool,
    now: DateTime<Utc>,
) -> impl Iterator<Item = Open> {
    let window = patients.then(|| Window::of_patients(&diary.rules, now));
    let fitting = diary.doctor.as_ref().map(|doctor| {
        let length = length.unwrap_or_else(|| usual_length(diary, doctor));
        (Fitting::new(diary, doctor), offered(diary, doctor, within, wanted, length, now))
    });
    fitting.into_iter().flat_map(move |(mut fitting, offered)| {
        offered.into_iter().filter(move |open| {
            window.is_none_or(|window| window.admits(open.span.from, open.zone).is_ok())
                && fitting.seats(open.span, open.zone, false).is_some()
        })
    })
}

/// What passes by as time goes on, and of it what is near: of two months of slots each asks the few claims beside it, not all.
struct Passing<T> {
    coming: Peekable<IntoIter<T>>,
    near: Vec<T>,
    span: fn(&T) -> Span,
}

impl<T> Passing<T> {
    fn new(mut all: Vec<T>, span: fn(&T) -> Span) -> Self {
        all.sort_by_key(span);
        Self { coming: all.into_iter().peekable(), near: Vec::new(), span }
    }

    /// All that may touch this span. Each call names one that begins no earlier than the one before.
    fn at(&mut self, now: Span) -> &[T] {
        self.near.retain(|one| (self.span)(one).to > now.from);
        while let Some(one) = self.coming.next_if(|one| (self.span)(one).from < now.to) {
            self.near.push(one);
        }
        &self.near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
        let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        let span = (0..600i64, 1..90i64)
            .prop_map(move |(from, length)| Span::new(at(from), at(from + length)));
        proptest::collection::vec(span, 0..most)
    }

    proptest! {
        #[test]
        fn whatever_touches_a_moment_is_near_as_it_passes(all in spans(40), mut moments in spans(40)) {
            moments.sort();
            let mut passing = Passing::new(all.clone(), |span| *span);

            for moment in moments {
                let mut near: Vec<Span> =
                    passing.at(moment).iter().copied().filter(|near| near.overlaps(&moment)).collect();
                let mut touching: Vec<Span> =
                    all.iter().copied().filter(|one| one.overlaps(&moment)).collect();
                near.sort();
                touching.sort();
                prop_assert_eq!(near, touching);
            }
        }
    }
}
