//! Appointments: the openings that weekly hours, breaks and time off leave, which of them are taken, and by whom.

use super::dice::{self, Dice};
use super::plan::{Plan, SeedAppointment, SeedAvailability, SeedDoctor, SeedPatient};
use super::reasons;
use super::shapes::Sees;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use rand::RngExt;
use rand::seq::index;
use uuid::Uuid;

/// A time at which a doctor could see somebody.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    /// Indices into the plan's lists.
    pub doctor: usize,
    location: usize,
    day: NaiveDate,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

/// The instant of a civil time there: the earlier one when the clock is set back, none when it skips that time.
pub(super) fn instant(zone: Tz, day: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    let local = zone.from_local_datetime(&day.and_time(time)).earliest()?;
    Some(local.with_timezone(&Utc))
}

/// Every opening from the first day to before the last, by day and doctor. One that is under way now is left out:
/// it is neither a past visit nor a coming one.
pub(super) fn openings(
    plan: &Plan,
    from: NaiveDate,
    to: NaiveDate,
    now: DateTime<Utc>,
) -> Vec<Opening> {
    let mut openings = Vec::new();
    for day in from.iter_days().take_while(|day| *day < to) {
        let weekday = day.weekday().number_from_monday() as i16;
        for (index, doctor) in plan.doctors.iter().enumerate() {
            let todays = |hours: &&SeedAvailability| {
                hours.doctor_id == doctor.id && hours.weekday == weekday
            };
            for hours in plan.availability.iter().filter(todays) {
                openings.extend(of_one_sitting(plan, (index, doctor), hours, day));
            }
        }
    }
    openings.retain(|opening| opening.ends_at <= now || opening.starts_at > now);
    openings
}

/// The openings of one doctor at one place on one day.
fn of_one_sitting(
    plan: &Plan,
    (index, doctor): (usize, &SeedDoctor),
    hours: &SeedAvailability,
    day: NaiveDate,
) -> Vec<Opening> {
    let location = plan
        .locations
        .iter()
        .position(|location| location.id == hours.location_id)
        .expect("hours name a location of their plan");
    let zone = plan.locations[location].time_zone;
    let length = TimeDelta::minutes(i64::from(doctor.slot_minutes));
    let away = |from, to| {
        let leave = |leave: &super::SeedTimeOff| {
            leave.doctor_id == doctor.id && leave.starts_at < to && leave.ends_at > from
        };
        plan.time_off.iter().any(leave)
    };
    let mut openings = Vec::new();
    for (from, to) in worked(hours) {
        // A sitting that begins or ends in an hour that the clock skips is left empty: there are enough others.
        let (Some(from), Some(to)) = (instant(zone, day, from), instant(zone, day, to)) else {
            continue;
        };
        let mut starts_at = from;
        while starts_at + length <= to {
            let ends_at = starts_at + length;
            if !away(starts_at, ends_at) {
                openings.push(Opening { doctor: index, location, day, starts_at, ends_at });
            }
            starts_at = ends_at;
        }
    }
    openings
}

/// The hours without their breaks.
fn worked(hours: &SeedAvailability) -> Vec<(NaiveTime, NaiveTime)> {
    let mut worked = Vec::new();
    let mut from = hours.starts_at;
    for (break_from, break_to) in &hours.breaks {
        worked.push((from, *break_from));
        from = *break_to;
    }
    worked.push((from, hours.ends_at));
    worked
}

/// What a living clinic looks like: a third of the past month, half of the coming week, a quarter of the one after.
pub(super) fn about_half(dice: &mut Dice, openings: &[Opening], today: NaiveDate) -> Vec<Opening> {
    let mut taken = Vec::new();
    for sitting in openings.chunk_by(|a, b| (a.doctor, a.day) == (b.doctor, b.day)) {
        let percent = match (sitting[0].day - today).num_days() {
            ..0 => 35,
            0..7 => dice.random_range(45..=55),
            _ => dice.random_range(20..=30),
        };
        taken.extend(evenly(dice, sitting, (sitting.len() * percent + 50) / 100));
    }
    taken
}

/// So many of them, each as likely as the other; never asked for more than there are.
pub(super) fn evenly(dice: &mut Dice, openings: &[Opening], count: usize) -> Vec<Opening> {
    index::sample(dice, openings.len(), count).iter().map(|index| openings[index]).collect()
}

/// Gives every taken opening a patient, a reason and an outcome; the result is in the order of booking.
pub(super) fn book(
    dice: &mut Dice,
    plan: &Plan,
    taken: &[Opening],
    now: DateTime<Utc>,
) -> Vec<SeedAppointment> {
    let mut taken = taken.to_vec();
    taken.sort_by_key(|opening| (opening.starts_at, opening.doctor));
    let mut waiting_room = WaitingRoom::new(&plan.patients);
    let reception: Vec<Uuid> =
        plan.staff.iter().filter(|user| user.role == "receptionist").map(|user| user.id).collect();
    let mut appointments: Vec<SeedAppointment> = taken
        .iter()
        .map(|opening| {
            let doctor = &plan.doctors[opening.doctor];
            let patient = waiting_room.call(dice, opening, doctor.sees);
            let own_hand = patient.user_id.filter(|_| dice.random_ratio(1, 2));
            let booked_by = own_hand.unwrap_or_else(|| dice::one_of(dice, &reception));
            appointment(dice, plan, opening, patient, booked_by, now)
        })
        .collect();
    appointments.sort_by_key(|appointment| (appointment.created_at, appointment.id));
    appointments
}

/// The patients, and until when each of them is with somebody.
struct WaitingRoom<'a> {
    patients: &'a [SeedPatient],
    /// How many of them the clinic knows by now; they stand in the order of joining.
    known: usize,
    last: Vec<Option<Opening>>,
    /// How many of the first ones have an account, and so pages that should have something to show.
    accounts: usize,
}

impl<'a> WaitingRoom<'a> {
    fn new(patients: &'a [SeedPatient]) -> Self {
        let accounts = patients.iter().take_while(|patient| patient.user_id.is_some()).count();
        Self { patients, known: 0, last: vec![None; patients.len()], accounts }
    }

    /// Somebody for that opening. Openings are called in the order of their starts.
    fn call(&mut self, dice: &mut Dice, opening: &Opening, sees: Sees) -> &'a SeedPatient {
        let joined = |patient: &SeedPatient| patient.created_at <= opening.starts_at;
        self.known += self.patients[self.known..].iter().take_while(|p| joined(p)).count();
        let index = self
            .regular(dice, opening, sees)
            .or_else(|| self.anybody(dice, opening, sees))
            .expect("at any time more patients are known than there are doctors");
        self.last[index] = Some(*opening);
        &self.patients[index]
    }

    /// Now and then one with an account, who came longest ago; else a lucky draw of one who lives near and does not come twice a day.
    fn regular(&self, dice: &mut Dice, opening: &Opening, sees: Sees) -> Option<usize> {
        let fits = |room: &Self, index: usize| {
            let patient = &room.patients[index];
            room.is_free(index, opening)
                && room.last[index].is_none_or(|last| last.day != opening.day)
                && patient.home == opening.location
                && suits(patient, sees, opening.day)
        };
        if dice.random_ratio(1, 6) {
            let fitting = (0..self.accounts).filter(|index| fits(self, *index));
            let longest_ago = |index: &usize| self.last[*index].map(|last| last.starts_at);
            if let Some(index) = fitting.min_by_key(longest_ago) {
                return Some(index);
            }
        }
        (0..40).map(|_| dice.random_range(0..self.known)).find(|index| fits(self, *index))
    }

    /// Whoever suits the doctor, or, in a clinic of very few, whoever is free.
    fn anybody(&self, dice: &mut Dice, opening: &Opening, sees: Sees) -> Option<usize> {
        let first = dice.random_range(0..self.known);
        let free = || (first..self.known).chain(0..first).filter(|i| self.is_free(*i, opening));
        let suiting = free().find(|index| suits(&self.patients[*index], sees, opening.day));
        suiting.or_else(|| free().next())
    }

    fn is_free(&self, index: usize, opening: &Opening) -> bool {
        self.last[index].is_none_or(|last| last.ends_at <= opening.starts_at)
    }
}

/// Whether a doctor who sees these people sees this one.
fn suits(patient: &SeedPatient, sees: Sees, day: NaiveDate) -> bool {
    let age = patient.date_of_birth.and_then(|born| day.years_since(born));
    match sees {
        Sees::Everyone => age.is_none_or(|age| age >= 5),
        Sees::Children => age.is_some_and(|age| age < 16),
        Sees::Women => patient.gender == "female" && age.is_none_or(|age| age >= 15),
    }
}

fn appointment(
    dice: &mut Dice,
    plan: &Plan,
    opening: &Opening,
    patient: &SeedPatient,
    booked_by: Uuid,
    now: DateTime<Utc>,
) -> SeedAppointment {
    let doctor = &plan.doctors[opening.doctor];
    let lead = TimeDelta::minutes(dice.random_range(60..14 * 24 * 60));
    let just_now = now - TimeDelta::minutes(dice.random_range(5..600));
    let location = &plan.locations[opening.location];
    let booked_at = awake(location.time_zone, (opening.starts_at - lead).min(just_now));
    let created_at = booked_at.max(patient.created_at);
    let reason = dice::one_of(dice, reasons::of(doctor.specialties[0]));
    let kind = match reasons::HANDS_ON.contains(&reason) {
        true => "in_person",
        false => dice::weighted(dice, &[("in_person", 84), ("video", 12), ("home_visit", 4)]),
    };
    let status = if opening.ends_at <= now {
        dice::weighted(dice, &[("completed", 82), ("no_show", 7), ("cancelled", 11)])
    } else if opening.starts_at - now < TimeDelta::days(3) {
        dice::weighted(dice, &[("confirmed", 62), ("booked", 34), ("cancelled", 4)])
    } else {
        dice::weighted(dice, &[("booked", 78), ("confirmed", 18), ("cancelled", 4)])
    };
    let updated_at = match status {
        "completed" | "no_show" => opening.ends_at,
        "booked" => created_at,
        _ => dice::between(dice, created_at, opening.starts_at.min(now)),
    };
    let cancelled = status == "cancelled";
    SeedAppointment {
        id: dice::id(dice, created_at),
        patient_id: patient.id,
        doctor_id: doctor.id,
        location_id: location.id,
        kind,
        status,
        starts_at: opening.starts_at,
        ends_at: opening.ends_at,
        reason,
        address: if kind == "home_visit" { patient.address.clone() } else { String::new() },
        cancel_reason: cancelled.then(|| dice::one_of(dice, reasons::CANCELLED)),
        booked_by,
        version: match status {
            "booked" => 1,
            "completed" => 5,
            _ => 2,
        },
        created_at,
        updated_at,
    }
}

/// That instant, or, where it falls into the night, the evening before: nobody books at four in the morning.
fn awake(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    match at.with_timezone(&zone).hour() {
        0..8 => at - TimeDelta::hours(10),
        8..22 => at,
        _ => at - TimeDelta::hours(3),
    }
}
