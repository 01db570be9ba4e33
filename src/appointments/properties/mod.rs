//! What must hold of slots and bookings whatever a clinic's hours, zone, rules and visits are. The oracle is written minute by
//! minute, after the words of the contract, and shares no code with what it judges but the reading of a zone.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use uuid::Uuid;

use self::world::{Deed, World, days_of, deed, minute, minutes_open, on_the_wall, world};
use super::book::{BookError, Booker, Choice, Decided, decided_by};
use super::diary::{Diary, DoctorDiary, PatientDiary, ResourceDiary, Rules};
use super::fitting::{self, Claim};
use super::model::{AppointmentRequest, Kind, Overbook};
use super::seats::Taken;
use crate::doctors::hours::{Break, ClosedDays, ExtraDay, Hours, Sittings, Span};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId, ResourceId};

struct Visit {
    id: AppointmentId,
    span: Span,
    claims: Vec<Claim>,
    overbooked: bool,
    request: AppointmentRequest,
}

/// The clinic, as it goes.
struct Clinic {
    world: World,
    location: LocationId,
    doctor: DoctorId,
    room: ResourceId,
    patients: [PatientId; 2],
    visits: Vec<Visit>,
    /// Every minute at which the doctor sits: the oracle.
    open_at: BTreeSet<DateTime<Utc>>,
}

impl Clinic {
    fn new(world: World) -> Self {
        let open_at = minutes_open(&world);
        Self::of(world, open_at)
    }

    fn of(world: World, open_at: BTreeSet<DateTime<Utc>>) -> Self {
        Self {
            open_at,
            world,
            location: LocationId::new(),
            doctor: DoctorId::new(),
            room: ResourceId::new(),
            patients: [PatientId::new(), PatientId::new()],
            visits: Vec::new(),
        }
    }

    /// Noon of the day before the first, in the zone's own time or thereabouts, plus some minutes.
    fn now(&self) -> DateTime<Utc> {
        let noon = self.world.first.and_hms_opt(12, 0, 0).unwrap().and_utc();
        noon - TimeDelta::days(1) + TimeDelta::minutes(self.world.now)
    }

    fn within(&self) -> Span {
        self.world.within()
    }

    fn day(&self, nth: i64) -> NaiveDate {
        self.world.day(nth)
    }

    fn diary(&self, patient: PatientId, with_room: bool, except: Option<AppointmentId>) -> Diary {
        let breaks = |pause: &Option<(u32, u32)>| {
            let pause = pause.iter();
            pause.map(|(a, b)| Break { starts_at: minute(*a), ends_at: minute(*b) }).collect()
        };
        let (zone, location_id) = (self.world.zone, self.location);
        let hours = self.world.weekly.iter().map(|(weekday, (from, to, pause))| Hours {
            location_id,
            zone,
            weekday: *weekday,
            starts_at: minute(*from),
            ends_at: minute(*to),
            breaks: breaks(pause),
            valid_from: None,
            valid_to: None,
        });
        let extra = self.world.extra.iter().map(|(nth, (from, to, pause))| ExtraDay {
            location_id,
            zone,
            day: self.day(*nth),
            starts_at: minute(*from),
            ends_at: minute(*to),
            breaks: breaks(pause),
        });
        let closed = self.world.closed.iter().map(|nth| ClosedDays {
            location_id: Some(location_id),
            first_day: self.day(*nth),
            last_day: self.day(*nth),
        });
        let others = self.visits.iter().filter(|visit| Some(visit.id) != except);
        let claims = others.flat_map(|visit| &visit.claims);
        let resources = with_room.then_some(ResourceDiary {
            id: self.room,
            capacity: 1,
            location_id: Some(location_id),
        });
        let asked = [Some(self.doctor.0), Some(patient.0), with_room.then_some(self.room.0)];
        Diary {
            rules: self.world.rules.clone(),
            doctor: Some(DoctorDiary {
                id: self.doctor,
                name: String::new(),
                slot_minutes: self.world.slot,
                capacity: self.world.capacity,
                max_per_day: self.world.max_per_day,
                active: true,
                sittings: Sittings {
                    hours: hours.collect(),
                    extra: extra.collect(),
                    closed: closed.collect(),
                    time_off: self.world.away(),
                },
            }),
            patient: Some(PatientDiary { id: patient, name: String::new() }),
            resources: resources.into_iter().collect(),
            has_location: true,
            taken: claims
                .filter(|claim| asked.contains(&Some(claim.subject)))
                .map(|claim| (claim.subject, Taken { seat: claim.seat, span: claim.during }))
                .collect(),
            has_lapsed: false,
        }
    }

    fn request(
        &self,
        patient: PatientId,
        starts_at: DateTime<Utc>,
        with_room: bool,
        overbook: bool,
    ) -> AppointmentRequest {
        AppointmentRequest {
            patient_id: patient,
            doctor_id: self.doctor,
            location_id: None,
            kind: Kind::InPerson,
            starts_at,
            duration_minutes: None,
            reason: None,
            address: None,
            resource_ids: with_room.then(|| vec![self.room]),
            overbook: overbook.then(|| Overbook { reason: "on purpose".into() }),
        }
    }

    fn slots(&self, diary: &Diary, patients: bool) -> Vec<Span> {
        let free = fitting::free(diary, self.within(), None, None, patients, self.now());
        free.map(|open| open.span).collect()
    }

    fn keep(&mut self, id: AppointmentId, request: AppointmentRequest, decided: Decided) {
        self.visits.push(Visit {
            id,
            span: decided.span,
            claims: decided.claims,
            overbooked: decided.overbook_reason.is_some(),
            request,
        });
    }

    fn length(&self) -> TimeDelta {
        let minutes = self.world.rules.slot_minutes.unwrap_or(self.world.slot);
        TimeDelta::minutes(i64::from(minutes))
    }

    fn civil_date(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.world.zone).date_naive()
    }

    fn sits(&self, at: DateTime<Utc>) -> bool {
        self.open_at.contains(&at)
    }

    /// What is kept free before a visit and after it.
    fn around(&self) -> (TimeDelta, TimeDelta) {
        let minutes = |minutes: i32| TimeDelta::minutes(i64::from(minutes));
        (minutes(self.world.rules.before_minutes), minutes(self.world.rules.after_minutes))
    }

    /// Whether somebody or something of a visit is full at some minute of it, or the doctor's day is, or none of the doctor's seats
    /// is free throughout: counted minute by minute, and seat by seat.
    fn is_full(
        &self,
        patient: PatientId,
        with_room: bool,
        span: Span,
        except: Option<AppointmentId>,
    ) -> bool {
        let (before, after) = self.around();
        let wide = |span: Span| Span::new(span.from - before, span.to + after);
        let others = || self.visits.iter().filter(|visit| Some(visit.id) != except);
        let full = |of: &dyn Fn(&Visit) -> bool, around: bool, capacity: usize| {
            let taken = |span: Span| if around { wide(span) } else { span };
            let wanted = taken(span);
            let near: Vec<Span> = others()
                .filter(|visit| of(visit))
                .map(|visit| taken(visit.span))
                .filter(|taken| taken.overlaps(&wanted))
                .collect();
            let minutes = (0..(wanted.to - wanted.from).num_minutes()).map(TimeDelta::minutes);
            !near.is_empty()
                && minutes.map(|minute| wanted.from + minute).any(|at| {
                    near.iter().filter(|one| one.from <= at && at < one.to).count() >= capacity
                })
        };
        let day = |span: Span| self.civil_date(span.from - before);
        let that_day = || others().filter(|visit| day(visit.span) == day(span)).count();
        let scattered = || {
            (0..self.world.capacity).all(|seat| {
                others().any(|visit| {
                    visit.claims[0].seat == seat && wide(visit.span).overlaps(&wide(span))
                })
            })
        };
        full(&|_| true, true, self.world.capacity as usize)
            || full(&|visit| visit.request.patient_id == patient, false, 1)
            || with_room && full(&|visit| !visit.request.resources().is_empty(), true, 1)
            || self.world.max_per_day.is_some_and(|most| that_day() >= most as usize)
            || scattered()
    }

    /// Whether patients may not book by themselves what begins then: it is too soon, or too far ahead.
    fn is_not_open(&self, at: DateTime<Utc>) -> bool {
        let rules = &self.world.rules;
        let days = rules.horizon_days.map(|days| TimeDelta::days(i64::from(days)));
        at < self.now() + TimeDelta::minutes(i64::from(rules.lead_minutes))
            || days.is_some_and(|days| self.civil_date(at) > self.civil_date(self.now()) + days)
    }

    /// At no minute does anything have more visits than it takes, but for those that were doubled on purpose.
    fn check_nothing_is_taken_twice(&self) -> Result<(), TestCaseError> {
        let ordinary: Vec<&Visit> = self.visits.iter().filter(|visit| !visit.overbooked).collect();
        let (before, after) = self.around();
        for visit in &self.visits {
            let mut at = visit.span.from - before;
            while at < visit.span.to + after {
                let busy = |of: &dyn Fn(&Visit) -> bool, around: bool| {
                    let under_way = ordinary.iter().filter(|other| {
                        let (before, after) =
                            if around { (before, after) } else { Default::default() };
                        of(other) && other.span.from - before <= at && at < other.span.to + after
                    });
                    under_way.count()
                };
                prop_assert!(busy(&|_| true, true) <= self.world.capacity as usize);
                for patient in self.patients {
                    prop_assert!(busy(&|one| one.request.patient_id == patient, false) <= 1);
                }
                prop_assert!(busy(&|one| !one.request.resources().is_empty(), true) <= 1);
                at += TimeDelta::minutes(5);
            }
        }
        if let Some(most) = self.world.max_per_day {
            let mut days = BTreeMap::new();
            for visit in ordinary {
                *days.entry(self.civil_date(visit.claims[0].during.from)).or_insert(0) += 1;
            }
            prop_assert!(days.values().all(|count| *count <= most), "{:?}", days);
        }
        // What the database's constraint says: no seat of anybody twice.
        let claims: Vec<&Claim> = self.visits.iter().flat_map(|visit| &visit.claims).collect();
        for (nth, one) in claims.iter().enumerate() {
            for other in &claims[..nth] {
                let same = one.subject == other.subject && one.seat == other.seat;
                prop_assert!(!(same && one.during.overlaps(&other.during)), "{one:?} {other:?}");
            }
        }
        Ok(())
    }

    /// Every slot is while the doctor sits; it can be booked; and what is left out of the grid cannot, and for a reason.
    fn check_slots(&self, patient: PatientId, with_room: bool) -> Result<(), TestCaseError> {
        let diary = self.diary(patient, with_room, None);
        for by_patient in [false, true] {
            let by = Booker { only_patient: by_patient.then_some(patient) };
            let slots = self.slots(&diary, by_patient);
            prop_assert!(slots.is_sorted());
            let offered: BTreeSet<_> = slots.iter().map(|slot| slot.from).collect();
            prop_assert_eq!(offered.len(), slots.len(), "each time is offered once");
            let doctor = diary.doctor.as_ref().unwrap();
            let grid =
                fitting::offered(&diary, doctor, self.within(), None, self.length(), self.now());
            for open in grid {
                let request = self.request(patient, open.span.from, with_room, false);
                let booked = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let is_offered = offered.contains(&open.span.from);
                prop_assert_eq!(booked.is_ok(), is_offered, "{:?} {:?}", open, booked.err());
                let cannot = by_patient && self.is_not_open(open.span.from)
                    || self.is_full(patient, with_room, open.span, None);
                prop_assert_eq!(is_offered, !cannot, "{:?}", open);
            }
            for slot in slots {
                let request = self.request(patient, slot.from, with_room, false);
                let booked = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                prop_assert_eq!(booked.ok().map(|booked| booked.span), Some(slot));
            }
        }
        Ok(())
    }

    fn act(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        match deed {
            Deed::Book { patient, at, with_room, by_patient, overbook } => {
                let patient = self.patients[*patient];
                let diary = self.diary(patient, *with_room, None);
                let slots = self.slots(&diary, *by_patient);
                if slots.is_empty() {
                    return Ok(());
                }
                let by = Booker { only_patient: by_patient.then_some(patient) };
                let request = self.request(
                    patient,
                    at.get(&slots).from,
                    *with_room,
                    *overbook && !by_patient,
                );
                let decided = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let decided = decided.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(decided.overbook_reason.is_none(), "a free time is not doubled");
                self.keep(AppointmentId::new(), request, decided);
            }
            Deed::BookAnywhere { patient, minute, overbook } => {
                let patient = self.patients[*patient];
                let at = self.within().from + TimeDelta::minutes(*minute);
                let diary = self.diary(patient, false, None);
                let request = self.request(patient, at, false, *overbook);
                let by = Booker { only_patient: None };
                let span = Span::new(at, at + self.length());
                let sits = (0..self.length().num_minutes())
                    .all(|minute| self.sits(at + TimeDelta::minutes(minute)));
                let full = self.is_full(patient, false, span, None);
                if self.within().contains(&span) {
                    let alone = Booker { only_patient: Some(patient) };
                    let own = self.request(patient, at, false, false);
                    let own = decided_by(&diary, &own, alone, Choice::Own(None), self.now());
                    let is_slot = self.slots(&diary, true).contains(&span);
                    prop_assert_eq!(own.is_ok(), is_slot, "a patient has slots alone: {}", at);
                }
                match decided_by(&diary, &request, by, Choice::Own(None), self.now()) {
                    Ok(decided) => {
                        prop_assert!(sits, "booked while the doctor does not sit: {}", at);
                        let doubled = decided.overbook_reason.is_some();
                        // Doubled on purpose it may have an ordinary seat after all.
                        prop_assert!(full || !doubled, "doubled, and free: {}", at);
                        prop_assert!(*overbook || !full, "booked twice: {}", at);
                        self.keep(AppointmentId::new(), request, decided);
                    }
                    Err(BookError::SlotTaken) => prop_assert!(!overbook && full, "free: {}", at),
                    // Two lines that follow each other are two stretches: a visit lies within one.
                    Err(BookError::Invalid(_)) => {
                        prop_assert!(!sits || self.world.weekly.len() + self.world.extra.len() > 1);
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            Deed::Move { visit, at } => {
                if self.visits.is_empty() {
                    return Ok(());
                }
                let nth = visit.index(self.visits.len());
                let standing = &self.visits[nth];
                let with_room = !standing.request.resources().is_empty();
                let patient = standing.request.patient_id;
                let diary = self.diary(patient, with_room, Some(standing.id));
                let slots = self.slots(&diary, false);
                if slots.is_empty() {
                    return Ok(());
                }
                let request = self.request(patient, at.get(&slots).from, with_room, false);
                let by = Booker { only_patient: None };
                let decided = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let decided = decided.map_err(|error| TestCaseError::fail(error.to_string()))?;
                let gone = self.visits.remove(nth);
                self.keep(gone.id, request, decided);
                let times = self.visits.iter().filter(|visit| visit.id == gone.id).count();
                prop_assert_eq!(times, 1, "a moved visit is at exactly one time");
            }
            Deed::MoveAnywhere { visit, minute } => {
                if self.visits.is_empty() {
                    return Ok(());
                }
                let nth = visit.index(self.visits.len());
                let (id, before) = (self.visits[nth].id, self.visits[nth].request.clone());
                let at = self.within().from + TimeDelta::minutes(*minute);
                let with_room = !before.resources().is_empty();
                let request = self.request(before.patient_id, at, with_room, false);
                let span = Span::new(at, at + self.length());
                let full = self.is_full(before.patient_id, with_room, span, Some(id));
                let by = Booker { only_patient: None };
                let diary = self.diary(before.patient_id, with_room, Some(id));
                let decided = match decided_by(&diary, &request, by, Choice::Given, self.now()) {
                    Ok(decided) => decided,
                    Err(BookError::SlotTaken) => {
                        prop_assert!(full, "free but for itself: {}", at);
                        return Ok(());
                    }
                    Err(_) => return Ok(()), // the doctor does not sit then
                };
                prop_assert!(!full);
                let gone = self.visits.remove(nth);
                self.keep(id, request, decided);
                // What it gave up is had again by whoever fits there, and by nobody else.
                let again = self.request(before.patient_id, before.starts_at, with_room, false);
                let diary = self.diary(before.patient_id, with_room, None);
                let again = decided_by(&diary, &again, by, Choice::Given, self.now());
                let taken = self.is_full(before.patient_id, with_room, gone.span, None);
                prop_assert_eq!(again.is_ok(), !taken, "{:?}", gone.span);
            }
            Deed::Cancel { visit } => {
                if !self.visits.is_empty() {
                    self.visits.remove(visit.index(self.visits.len()));
                }
            }
        }
        self.check_nothing_is_taken_twice()
    }

    /// Whether each minute of each slot is one at which the doctor sits.
    fn check_hours(&self) -> Result<(), TestCaseError> {
        let diary = self.diary(self.patients[0], false, None);
        for slot in self.slots(&diary, false) {
            let mut at = slot.from;
            while at < slot.to {
                prop_assert!(self.sits(at), "{} is offered, and nobody sits", at);
                at += TimeDelta::minutes(5);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn slots_and_bookings_agree_and_nothing_is_taken_twice(
        world in world(),
        deeds in proptest::collection::vec(deed(), 0..24),
    ) {
        let mut clinic = Clinic::new(world);
        clinic.check_hours()?;
        for deed in &deeds {
            clinic.act(deed)?;
        }
        for patient in clinic.patients {
            clinic.check_slots(patient, false)?;
            clinic.check_slots(patient, true)?;
        }
    }
}

/// One after the other, all of them: a random one in each run would take its time to meet the odd one.
#[test]
fn in_every_zone_hours_begin_and_end_as_the_clock_on_the_wall_says_also_when_it_changes() {
    for zone in chrono_tz::TZ_VARIANTS {
        for day in days_of(zone) {
            for date in [day, day + TimeDelta::days(1)] {
                hours_are_offered(zone, date, (0, 1440));
                if has_a_change(zone, date) {
                    for minutes in [30, 60, 90, 120, 150, 180, 210, 1410] {
                        hours_are_offered(zone, date, (0, minutes));
                        hours_are_offered(zone, date, (minutes, 1440));
                    }
                }
            }
        }
    }
}

fn has_a_change(zone: Tz, date: NaiveDate) -> bool {
    let (from, to) = crate::time::day_bounds(zone, date);
    to - from != TimeDelta::days(1)
}

/// In slots of five minutes, one after the other: from the first time that the clock shows their beginning to the last time that it
/// shows their end, or goes past it. (A day ends once, where the next begins.)
fn hours_are_offered(zone: Tz, date: NaiveDate, (begin, end): (u32, u32)) {
    let world = World {
        zone,
        first: date,
        weekly: vec![(date.weekday().number_from_monday(), (begin, end, None))],
        extra: vec![],
        closed: vec![],
        away: vec![],
        slot: 5,
        capacity: 1,
        max_per_day: None,
        rules: Rules::default(),
        now: 0,
    };
    let midnight = date.and_time(NaiveTime::MIN).and_utc();
    let within = Span::new(midnight - TimeDelta::hours(16), midnight + TimeDelta::hours(40));
    let clinic = Clinic::of(world, BTreeSet::new());
    let diary = clinic.diary(clinic.patients[0], false, None);

    let slots: Vec<Span> = fitting::free(&diary, within, None, None, false, within.from)
        .map(|open| open.span)
        .collect();

    let fives = (0..=56 * 12).map(|five| within.from + TimeDelta::minutes(5 * five));
    let clock: Vec<_> = fives.map(|at| (at, at.with_timezone(&zone).naive_local())).collect();
    let (from, until) = on_the_wall(&clock, date, (begin, end)).unwrap();
    let span = Span::new(from, until);
    let told = format!("{zone} {date} {begin} to {end}");
    if span.from >= span.to {
        assert!(slots.is_empty(), "{told}");
        return;
    }
    assert_eq!(slots.first().map(|slot| slot.from), Some(span.from), "{told}");
    assert_eq!(slots.last().map(|slot| slot.to), Some(span.to), "{told}");
    assert!(slots.windows(2).all(|two| two[0].to == two[1].from), "{told}");
}

/// A claim of nobody asked for does not count.
#[test]
fn only_those_who_are_asked_for_are_looked_at() {
    let stranger = Uuid::nil();
    let world = World {
        zone: Tz::UTC,
        first: NaiveDate::from_ymd_opt(2027, 3, 1).unwrap(),
        weekly: vec![(1, (540, 600, None))],
        extra: vec![],
        closed: vec![],
        away: vec![],
        slot: 30,
        capacity: 1,
        max_per_day: None,
        rules: Rules::default(),
        now: 0,
    };
    let clinic = Clinic::new(world);
    let mut diary = clinic.diary(clinic.patients[0], false, None);
    let nine = "2027-03-01T09:00:00Z".parse().unwrap();
    let taken = Taken { seat: 0, span: Span::new(nine, nine + TimeDelta::minutes(30)) };

    diary.taken = vec![(stranger, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 2);
    diary.taken = vec![(clinic.doctor.0, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 1);
    diary.taken = vec![(clinic.patients[0].0, taken)];
    assert_eq!(clinic.slots(&diary, false).len(), 1);
}
