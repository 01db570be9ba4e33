//! A whole clinic's data before it touches a database, and the ways to draw one up.

use super::diary;
use super::dice::{self, Dice};
use super::people::{self, Joining, Phones};
use super::shapes::{ClinicShape, LocationShape, People, Sees, StaffShape, TRIAL};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

/// Everything that a seeded clinic holds. Rows refer to each other by id, and stand in the order of their making.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub locations: Vec<SeedLocation>,
    /// Doctors among them; the first of each role is the one that a demo names.
    pub staff: Vec<SeedUser>,
    pub doctors: Vec<SeedDoctor>,
    pub availability: Vec<SeedAvailability>,
    pub time_off: Vec<SeedTimeOff>,
    pub resources: Vec<SeedResource>,
    pub holidays: Vec<SeedHoliday>,
    /// The accounts that `patients.user_id` points to.
    pub patient_users: Vec<SeedUser>,
    pub patients: Vec<SeedPatient>,
    pub appointments: Vec<SeedAppointment>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedLocation {
    pub id: Uuid,
    pub name: String,
    pub address: String,
    pub phone: String,
    pub time_zone: Tz,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedUser {
    pub id: Uuid,
    pub role: &'static str,
    pub full_name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub language: &'static str,
    /// Known to everybody who reads this repository, so only demo clinics have any.
    pub password: Option<String>,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedDoctor {
    /// The account's.
    pub id: Uuid,
    pub registration_number: String,
    pub qualification: &'static str,
    pub specialties: &'static [&'static str],
    pub languages: &'static [&'static str],
    pub fee_minor: i64,
    pub slot_minutes: i32,
    /// No column: it keeps grandfathers away from the paediatrician.
    pub sees: Sees,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedAvailability {
    pub id: Uuid,
    pub doctor_id: Uuid,
    pub location_id: Uuid,
    pub weekday: i16,
    pub starts_at: NaiveTime,
    pub ends_at: NaiveTime,
    pub breaks: Vec<(NaiveTime, NaiveTime)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedTimeOff {
    pub id: Uuid,
    pub doctor_id: Uuid,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedResource {
    /// Of a therapist: the account's.
    pub id: Uuid,
    pub kind: &'static str,
    /// Of a therapist: none, for it is the account's.
    pub name: Option<&'static str>,
    pub location_id: Option<Uuid>,
    pub capacity: i16,
}

/// At every location.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedHoliday {
    pub id: Uuid,
    pub day: NaiveDate,
    pub name: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedPatient {
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    pub full_name: String,
    pub phone: String,
    pub email: Option<String>,
    pub date_of_birth: Option<NaiveDate>,
    pub gender: &'static str,
    pub language: &'static str,
    pub address: String,
    /// No column: the index of the location that is near.
    pub home: usize,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeedAppointment {
    pub id: Uuid,
    pub patient_id: Uuid,
    pub doctor_id: Uuid,
    pub location_id: Uuid,
    pub kind: &'static str,
    pub status: &'static str,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub reason: &'static str,
    /// Of a home visit; else empty.
    pub address: String,
    pub cancel_reason: Option<&'static str>,
    pub booked_by: Uuid,
    /// One for the booking and one for each step since.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl SeedAppointment {
    /// Whether it takes its doctor's and its patient's time; one that is cancelled or was missed gives it back.
    pub fn holds_time(&self) -> bool {
        !matches!(self.status, "cancelled" | "no_show")
    }
}

/// How much a load test wants, and in which zone its doctors live.
pub struct LoadShape {
    pub patients: usize,
    pub appointments: usize,
    pub time_zone: Tz,
}

/// More appointments than the diaries have room for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} appointments do not fit: {patients} patients and ten doctors have room for {at_most} in a year"
)]
pub struct NoRoom {
    pub asked: usize,
    pub patients: usize,
    pub at_most: usize,
}

/// A load test looks as far back as ahead.
const LOAD_DAYS: i64 = 182;

impl Plan {
    /// A clinic for a demo: four weeks behind it, two weeks booked, about half of each coming day still free.
    pub fn hospital(shape: &ClinicShape, seed: u64, now: DateTime<Utc>) -> Self {
        let today = now.with_timezone(&shape.time_zone).date_naive();
        let window_from = today - TimeDelta::days(28);
        let joining = Joining { today, window_from, known_before: shape.doctors.len() };
        let mut plan = Self::people(shape, seed, &joining);
        for user in &mut plan.staff {
            user.password = Some(format!("{}-{}-demo", shape.slug, user.role.replace('_', "-")));
        }
        let made_at = midnight(shape.time_zone, window_from);
        plan.resources = resources(&plan, shape, seed, made_at);
        plan.holidays = vec![republic_day(shape, seed, today + TimeDelta::days(15), made_at)];
        let mut dice = dice::stream(seed, shape.slug, "appointments");
        let openings = diary::openings(&plan, window_from, today + TimeDelta::days(15), now);
        let taken = diary::about_half(&mut dice, &openings, today);
        plan.appointments = diary::book(&mut dice, &plan, &taken, now);
        plan
    }

    /// A year of ten doctors for a load test. Nobody gets a password: such a clinic may be a real one.
    pub fn load(shape: &LoadShape, seed: u64, now: DateTime<Utc>) -> Result<Self, NoRoom> {
        // At one time each doctor sees somebody else, so fewer patients fill fewer diaries.
        let busy_doctors = shape.patients.min(TRIAL.doctors.len());
        let today = now.with_timezone(&shape.time_zone).date_naive();
        let window_from = today - TimeDelta::days(LOAD_DAYS);
        let people = People { patients: shape.patients, ..TRIAL.people };
        let clinic = ClinicShape { time_zone: shape.time_zone, people, ..TRIAL };
        let joining = Joining { today, window_from, known_before: busy_doctors };
        let mut plan = Self::people(&clinic, seed, &joining);
        let mut dice = dice::stream(seed, clinic.slug, "appointments");
        let mut openings =
            diary::openings(&plan, window_from, today + TimeDelta::days(LOAD_DAYS), now);
        openings.retain(|opening| opening.doctor < busy_doctors);
        if shape.appointments > openings.len() {
            return Err(NoRoom {
                asked: shape.appointments,
                patients: shape.patients,
                at_most: openings.len(),
            });
        }
        let taken = diary::evenly(&mut dice, &openings, shape.appointments);
        plan.appointments = diary::book(&mut dice, &plan, &taken, now);
        Ok(plan)
    }

    /// Those whom a demo offers for signing in: the first of each role, and every patient with an account.
    pub fn sign_ins(&self) -> impl Iterator<Item = &SeedUser> {
        let first_of_role = |(index, user): (usize, &SeedUser)| {
            !self.staff[..index].iter().any(|earlier| earlier.role == user.role)
        };
        let staff = self.staff.iter().enumerate().filter(move |entry| first_of_role(*entry));
        staff.map(|(_, user)| user).chain(&self.patient_users)
    }

    /// All but the appointments. The day decides, not the hour: who runs a demo twice a day meets the same people.
    fn people(shape: &ClinicShape, seed: u64, joining: &Joining) -> Self {
        let mut dice = dice::stream(seed, shape.slug, "people");
        let mut phones = Phones::new(&mut dice, shape.people.phone_block);
        // Older than any patient: whoever booked must have been there.
        let founded = midnight(shape.time_zone, joining.window_from - TimeDelta::days(1000));
        let locations = locations(&mut dice, &mut phones, shape, founded);
        let (staff, doctors) = staff(&mut dice, &mut phones, shape, founded);
        let availability = availability(&mut dice, shape, &locations, &doctors, founded);
        let time_off = shape
            .leave
            .iter()
            .map(|leave| SeedTimeOff {
                id: dice::id(&mut dice, founded),
                doctor_id: doctors[leave.doctor].id,
                starts_at: midnight(
                    shape.time_zone,
                    joining.today + TimeDelta::days(leave.from_day),
                ),
                ends_at: midnight(shape.time_zone, joining.today + TimeDelta::days(leave.to_day)),
                reason: leave.reason,
            })
            .collect();
        let (patients, patient_users) =
            people::patients(&mut dice, &mut phones, &shape.people, joining);
        Self {
            locations,
            staff,
            doctors,
            availability,
            time_off,
            resources: Vec::new(),
            holidays: Vec::new(),
            patient_users,
            patients,
            appointments: Vec::new(),
        }
    }
}

/// What each branch has: name, and how many at one time.
const ROOMS: [(&str, &str, i16); 4] = [
    ("room", "Consulting room 1", 1),
    ("room", "Droni room", 1),
    ("room", "Yoga hall", 6),
    ("equipment", "Nasya chair", 1),
];

/// Each branch's rooms, and the therapists, who go to every branch.
fn resources(
    plan: &Plan,
    shape: &ClinicShape,
    seed: u64,
    made_at: DateTime<Utc>,
) -> Vec<SeedResource> {
    let mut dice = dice::stream(seed, shape.slug, "rooms");
    let mut all = Vec::new();
    for location in &plan.locations {
        for (kind, name, capacity) in ROOMS {
            let id = dice::id(&mut dice, made_at);
            let (name, location_id) = (Some(name), Some(location.id));
            all.push(SeedResource { id, kind, name, location_id, capacity });
        }
    }
    let therapists = plan.staff.iter().filter(|user| user.role == "therapist");
    all.extend(therapists.map(|user| SeedResource {
        id: user.id,
        kind: "therapist",
        name: None,
        location_id: None,
        capacity: 1,
    }));
    all
}

/// The next one beyond the days that are booked: nobody has a visit then.
fn republic_day(
    shape: &ClinicShape,
    seed: u64,
    booked_until: NaiveDate,
    made_at: DateTime<Utc>,
) -> SeedHoliday {
    let id = dice::id(&mut dice::stream(seed, shape.slug, "holidays"), made_at);
    let years = booked_until.year()..;
    let mut days = years.filter_map(|year| NaiveDate::from_ymd_opt(year, 1, 26));
    let day = days.find(|day| *day >= booked_until).unwrap_or(booked_until);
    SeedHoliday { id, day, name: "Republic Day" }
}

fn midnight(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    // A zone whose clocks change at midnight begins such a day an hour later.
    diary::instant(zone, day, NaiveTime::MIN)
        .or_else(|| diary::instant(zone, day, time((1, 0))))
        .expect("no zone skips more than the first hour of a day")
}

fn time((hour, minute): (u32, u32)) -> NaiveTime {
    NaiveTime::MIN + TimeDelta::minutes(i64::from(hour * 60 + minute))
}

fn locations(
    dice: &mut Dice,
    phones: &mut Phones,
    shape: &ClinicShape,
    founded: DateTime<Utc>,
) -> Vec<SeedLocation> {
    let location = |location: &LocationShape| SeedLocation {
        id: dice::id(dice, founded),
        name: location.name.to_owned(),
        address: location.address.to_owned(),
        phone: phones.next(),
        time_zone: shape.time_zone,
    };
    shape.locations.iter().map(location).collect()
}

fn staff(
    dice: &mut Dice,
    phones: &mut Phones,
    shape: &ClinicShape,
    founded: DateTime<Utc>,
) -> (Vec<SeedUser>, Vec<SeedDoctor>) {
    let mut user = |role, full_name: &str, email: &str, language| SeedUser {
        id: dice::id(dice, founded),
        role,
        full_name: full_name.to_owned(),
        email: Some(email.to_owned()),
        phone: Some(phones.next()),
        language,
        password: None,
        created_at: founded,
    };
    let mut staff: Vec<SeedUser> = shape
        .staff
        .iter()
        .map(|member: &StaffShape| {
            user(member.role, member.full_name, member.email, member.language)
        })
        .collect();
    let mut doctors = Vec::new();
    for doctor in shape.doctors {
        let account = user("doctor", doctor.full_name, doctor.email, doctor.languages[0]);
        doctors.push(SeedDoctor {
            id: account.id,
            registration_number: doctor.registration_number.to_owned(),
            qualification: doctor.qualification,
            specialties: doctor.specialties,
            languages: doctor.languages,
            fee_minor: doctor.fee_rupees * 100,
            slot_minutes: doctor.slot_minutes,
            sees: doctor.sees,
        });
        staff.push(account);
    }
    (staff, doctors)
}

fn availability(
    dice: &mut Dice,
    shape: &ClinicShape,
    locations: &[SeedLocation],
    doctors: &[SeedDoctor],
    founded: DateTime<Utc>,
) -> Vec<SeedAvailability> {
    let mut availability = Vec::new();
    for (doctor, doctor_shape) in doctors.iter().zip(shape.doctors) {
        for hours in doctor_shape.hours {
            for &weekday in hours.weekdays {
                availability.push(SeedAvailability {
                    id: dice::id(dice, founded),
                    doctor_id: doctor.id,
                    location_id: locations[hours.location].id,
                    weekday,
                    starts_at: time(hours.from),
                    ends_at: time(hours.to),
                    breaks: hours
                        .breaks
                        .iter()
                        .map(|(from, to)| (time(*from), time(*to)))
                        .collect(),
                });
            }
        }
    }
    availability
}
