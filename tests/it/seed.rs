//! Seeded clinics, as planned: repeatable, within their own hours, and nobody's real number or address.

mod store;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use nadi::seed::{AROGYA, LoadShape, NoRoom, Plan, SHANTI, Sees};
use phonenumber::metadata::DATABASE;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A Wednesday, late in the morning in India.
const NOW: &str = "2026-03-11T05:40:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// `NOW`, the week after it, and a minute on either side of an Indian midnight.
fn moments() -> Vec<DateTime<Utc>> {
    let week = (0..7).map(|day| now() + TimeDelta::days(day));
    week.chain(["2026-12-31T18:29:00Z", "2026-12-31T18:31:00Z"].map(|at| at.parse().unwrap()))
        .collect()
}

fn load(patients: usize, appointments: usize) -> Result<Plan, NoRoom> {
    Plan::load(&LoadShape { patients, appointments, time_zone: SHANTI.time_zone }, 7, now())
}

/// Every plan that the rules below are held against.
fn plans() -> Vec<(Plan, DateTime<Utc>)> {
    let mut plans = Vec::new();
    for at in moments() {
        plans.push((Plan::hospital(&SHANTI, 1, at), at));
        plans.push((Plan::hospital(&AROGYA, 1, at), at));
    }
    plans.push((load(500, 5_000).unwrap(), now()));
    // So few patients, and so many visits, that somebody is nearly always busy.
    plans.push((load(3, 30_000).unwrap(), now()));
    plans
}

#[test]
fn the_same_seed_makes_the_same_clinic() {
    let first = Plan::hospital(&SHANTI, 1, now());

    assert!(first == Plan::hospital(&SHANTI, 1, now()));
    assert!(first != Plan::hospital(&SHANTI, 2, now()), "another seed, another clinic");
    assert!(load(200, 300) == load(200, 300));
}

#[test]
fn the_hour_changes_visits_but_no_people() {
    let (morning, evening) = (now(), now() + TimeDelta::hours(8));

    let first = Plan::hospital(&SHANTI, 1, morning);
    let later = Plan::hospital(&SHANTI, 1, evening);

    assert!(first.patients == later.patients && first.staff == later.staff);
    assert!(first.appointments != later.appointments, "some visits are over by the evening");
}

#[test]
fn more_appointments_rename_nobody() {
    assert!(load(200, 300).unwrap().patients == load(200, 900).unwrap().patients);
}

#[test]
fn shanti_and_arogya_hold_what_the_demo_promises() {
    let roles = ["clinic_admin", "receptionist", "therapist", "pharmacist", "accountant", "doctor"];
    for (shape, patients, doctors, sign_ins) in [(&SHANTI, 120, 8, 8), (&AROGYA, 100, 3, 4)] {
        let plan = Plan::hospital(shape, 1, now());

        assert_eq!(plan.patients.len(), patients);
        assert_eq!(plan.doctors.len(), doctors);
        assert_eq!(plan.patient_users.len(), sign_ins);
        let emails: HashSet<_> = plan.patients.iter().filter_map(|p| p.email.as_ref()).collect();
        let with_email = plan.patients.iter().filter(|p| p.email.is_some()).count();
        assert!(with_email >= 20 && emails.len() == with_email, "{with_email} of their own");
        let staff: Vec<_> = plan.sign_ins().filter(|user| user.role != "patient").collect();
        assert_eq!(staff.iter().map(|user| user.role).collect::<Vec<_>>(), roles);
        for user in staff {
            assert!(user.email.is_some() && user.password.as_ref().unwrap().len() >= 10);
        }
        assert_eq!(plan.sign_ins().filter(|user| user.role == "patient").count(), sign_ins);
        for user in &plan.patient_users {
            let patient = plan.patients.iter().find(|p| p.user_id == Some(user.id)).unwrap();
            assert_eq!(user.phone.as_ref(), Some(&patient.phone));
            assert!(user.password.is_none(), "patients sign in by one-time code");
        }
    }
}

#[test]
fn a_patient_who_signs_in_has_something_to_look_forward_to() {
    for at in moments() {
        for shape in [&SHANTI, &AROGYA] {
            let plan = Plan::hospital(shape, 1, at);

            for patient in plan.patients.iter().filter(|patient| patient.user_id.is_some()) {
                let coming = plan.appointments.iter().filter(|visit| {
                    visit.patient_id == patient.id && visit.starts_at > at && visit.holds_time()
                });
                assert!(coming.count() > 0, "{} at {at}, {}", patient.full_name, shape.slug);
            }
        }
    }
}

#[test]
fn a_load_test_meets_no_known_password() {
    assert!(load(50, 50).unwrap().staff.iter().all(|user| user.password.is_none()));
}

#[test]
fn nobody_is_in_two_places_at_once() {
    for (plan, at) in plans() {
        let mut busy: HashMap<Uuid, Vec<_>> = HashMap::new();
        for visit in &plan.appointments {
            for subject in [visit.doctor_id, visit.patient_id] {
                busy.entry(subject).or_default().push((visit.starts_at, visit.ends_at));
            }
        }

        for spans in busy.values_mut() {
            spans.sort();
            assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "at {at}");
        }
    }
}

#[test]
fn every_visit_lies_in_its_doctors_hours() {
    for (plan, at) in plans() {
        for visit in &plan.appointments {
            let location = plan.locations.iter().find(|l| l.id == visit.location_id).unwrap();
            let local = |at: DateTime<Utc>| at.with_timezone(&location.time_zone);
            let (from, to) = (local(visit.starts_at).time(), local(visit.ends_at).time());
            let weekday = local(visit.starts_at).weekday().number_from_monday() as i16;

            let sits = plan.availability.iter().any(|hours| {
                hours.doctor_id == visit.doctor_id
                    && hours.location_id == visit.location_id
                    && hours.weekday == weekday
                    && (hours.starts_at <= from && to <= hours.ends_at)
                    && hours.breaks.iter().all(|pause| to <= pause.0 || pause.1 <= from)
            });
            let away = plan.time_off.iter().any(|leave| {
                leave.doctor_id == visit.doctor_id
                    && leave.starts_at < visit.ends_at
                    && visit.starts_at < leave.ends_at
            });
            assert!(sits && !away, "{visit:?} at {at}");
        }
    }
}

#[test]
fn a_visit_tells_a_story_that_fits_the_clock() {
    for (plan, at) in plans() {
        for visit in &plan.appointments {
            let patient = plan.patients.iter().find(|p| p.id == visit.patient_id).unwrap();
            let statuses: &[_] = if visit.ends_at <= at {
                &["completed", "no_show", "cancelled"]
            } else {
                assert!(visit.starts_at > at, "none is under way: {visit:?}");
                &["booked", "confirmed", "cancelled"]
            };

            assert!(statuses.contains(&visit.status), "{visit:?} at {at}");
            assert!(patient.created_at <= visit.created_at, "known before booking: {visit:?}");
            assert!(visit.created_at <= visit.starts_at.min(at), "{visit:?} at {at}");
            assert!(visit.created_at <= visit.updated_at && visit.updated_at <= at, "{visit:?}");
            assert_eq!(visit.kind == "home_visit", !visit.address.is_empty());
            assert_eq!(visit.status == "cancelled", visit.cancel_reason.is_some());
        }
    }
}

#[test]
fn every_outcome_is_there_to_be_seen() {
    for shape in [&SHANTI, &AROGYA] {
        let plan = Plan::hospital(shape, 1, now());

        let statuses: HashSet<_> = plan.appointments.iter().map(|visit| visit.status).collect();
        let kinds: HashSet<_> = plan.appointments.iter().map(|visit| visit.kind).collect();
        assert_eq!(
            statuses,
            HashSet::from(["booked", "confirmed", "completed", "no_show", "cancelled"])
        );
        assert_eq!(kinds, HashSet::from(["in_person", "video", "home_visit"]));
    }
}

/// Slots of a sitting, counted from its minutes: another way than the seeder's.
fn slots(plan: &Plan, day: NaiveDate) -> i64 {
    let on_leave = |doctor: Uuid| {
        let noon = day.and_hms_opt(6, 30, 0).unwrap().and_utc();
        plan.time_off
            .iter()
            .any(|l| l.doctor_id == doctor && l.starts_at <= noon && noon < l.ends_at)
    };
    let weekday = day.weekday().number_from_monday() as i16;
    let todays = plan.availability.iter().filter(|hours| hours.weekday == weekday);
    todays
        .filter(|hours| !on_leave(hours.doctor_id))
        .map(|hours| {
            let doctor = plan.doctors.iter().find(|d| d.id == hours.doctor_id).unwrap();
            let breaks: TimeDelta = hours.breaks.iter().map(|pause| pause.1 - pause.0).sum();
            let worked = hours.ends_at - hours.starts_at - breaks;
            worked.num_minutes() / i64::from(doctor.slot_minutes)
        })
        .sum()
}

#[test]
fn about_half_of_each_coming_day_is_free() {
    for at in moments() {
        for shape in [&SHANTI, &AROGYA] {
            let plan = Plan::hospital(shape, 1, at);
            let day_of = |at: DateTime<Utc>| at.with_timezone(&shape.time_zone).date_naive();

            for day in day_of(at).iter_days().skip(1).take(6) {
                let slots = slots(&plan, day);
                let taken = plan.appointments.iter().filter(|v| day_of(v.starts_at) == day).count();
                let percent = taken as i64 * 100 / slots;
                assert!((40..=60).contains(&percent), "{day}: {taken} of {slots}, {}", shape.slug);
            }
        }
    }
}

#[test]
fn nobody_is_sent_to_a_doctor_who_does_not_see_them() {
    for shape in [&SHANTI, &AROGYA] {
        let plan = Plan::hospital(shape, 1, now());
        for visit in &plan.appointments {
            let doctor = plan.doctors.iter().find(|d| d.id == visit.doctor_id).unwrap();
            let patient = plan.patients.iter().find(|p| p.id == visit.patient_id).unwrap();
            let day = visit.starts_at.date_naive();
            let age = patient.date_of_birth.and_then(|born| day.years_since(born));

            match doctor.sees {
                Sees::Everyone => {}
                Sees::Children => assert!(age.unwrap() < 17, "{age:?}"),
                Sees::Women => assert_eq!(patient.gender, "female"),
            }
        }
    }
}

#[test]
fn hours_and_breaks_begin_where_a_slot_does() {
    for shape in [&SHANTI, &AROGYA] {
        let plan = Plan::hospital(shape, 1, now());
        for hours in &plan.availability {
            let doctor = plan.doctors.iter().find(|d| d.id == hours.doctor_id).unwrap();
            let edges = hours.breaks.iter().flat_map(|pause| [pause.0, pause.1]);
            for edge in edges.chain([hours.ends_at]) {
                let minutes = (edge - hours.starts_at).num_minutes();
                assert_eq!(minutes % i64::from(doctor.slot_minutes), 0, "{hours:?}");
            }
        }
    }
}

#[test]
fn phone_numbers_are_valid_mobiles_and_nobodys() {
    let plans = [
        Plan::hospital(&SHANTI, 1, now()),
        Plan::hospital(&AROGYA, 1, now()),
        load(10_000, 0).unwrap(),
    ];
    let mut seen = HashSet::new();
    for plan in &plans {
        let patients = plan.patients.iter().map(|patient| &patient.phone);
        let staff = plan.staff.iter().filter_map(|user| user.phone.as_ref());
        let places = plan.locations.iter().map(|location| &location.phone);
        for phone in patients.chain(staff).chain(places) {
            let number = phonenumber::parse(None, phone).unwrap();

            assert!(phonenumber::is_valid(&number), "{phone}");
            assert_eq!(number.number_type(&DATABASE), phonenumber::Type::Mobile, "{phone}");
            assert!(phone.starts_with("+91695") || phone.starts_with("+91696"), "{phone}");
            assert!(seen.insert(phone), "{phone} is given twice");
        }
    }
}

#[test]
fn mail_goes_to_reserved_domains_only() {
    for (plan, _) in plans() {
        let staff = plan.staff.iter().chain(&plan.patient_users).filter_map(|u| u.email.as_ref());
        for email in staff.chain(plan.patients.iter().filter_map(|p| p.email.as_ref())) {
            let (local, domain) = email.split_once('@').unwrap();

            let reserved = [".example", ".example.org", ".example.com"];
            assert!(reserved.iter().any(|end| domain.ends_with(end)), "{email}");
            assert!(
                local.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.')
            );
        }
    }
}

#[test]
fn names_come_in_the_scripts_of_the_place() {
    let written_in = |plan: &Plan, script: std::ops::RangeInclusive<char>| {
        let in_script = |name: &str| name.chars().any(|c| script.contains(&c));
        plan.patients.iter().filter(|patient| in_script(&patient.full_name)).count()
    };

    let malayalam = written_in(&Plan::hospital(&SHANTI, 1, now()), '\u{0d00}'..='\u{0d7f}');
    let devanagari = written_in(&Plan::hospital(&AROGYA, 1, now()), '\u{0900}'..='\u{097f}');

    assert!((15..60).contains(&malayalam), "{malayalam} of 120");
    assert!((15..60).contains(&devanagari), "{devanagari} of 100");
}

#[test]
fn a_load_plan_has_what_was_asked_or_says_what_fits() {
    let plan = load(10_000, 100_000).unwrap();
    assert_eq!((plan.patients.len(), plan.appointments.len()), (10_000, 100_000));

    let NoRoom { asked, patients, at_most } = load(10_000, 200_000).unwrap_err();
    assert_eq!((asked, patients), (200_000, 10_000));
    assert_eq!(load(10_000, at_most).unwrap().appointments.len(), at_most, "and no fewer");
    assert!(load(10_000, at_most + 1).is_err());

    assert_eq!(load(0, 1).unwrap_err().at_most, 0, "nobody is there to come");
    assert_eq!(load(1, 500).unwrap().appointments.len(), 500, "one patient, one doctor");
}
