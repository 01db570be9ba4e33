//! Puts a plan into a clinic's database: a few statements of thousands of rows each, in the caller's transaction.
//! Numbers come from the columns' defaults, so that the clinic's next patient is numbered after the last one here.

use super::plan::{
    Plan, SeedAppointment, SeedAvailability, SeedDoctor, SeedHoliday, SeedLocation, SeedPatient,
    SeedResource, SeedTimeOff, SeedUser,
};
use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Rows in one statement: enough that the round trips no longer count, and few enough to stay small in memory.
const ROWS: usize = 4000;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the demo's passwords could not be hashed")]
    Hash(#[from] password_hash::Error),
    #[error("hashing the demo's passwords was cut short")]
    Cut(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Writes all of it, or fails and leaves it to the caller to roll back. Whether it was written before is for the caller to know.
pub async fn write(conn: &mut PgConnection, plan: &Plan) -> Result<(), WriteError> {
    let hashes = hashes(plan).await?;
    insert_users(conn, &plan.staff, &hashes).await?;
    insert_locations(conn, &plan.locations).await?;
    for doctor in &plan.doctors {
        insert_doctor(conn, doctor).await?;
    }
    insert_availability(conn, &plan.availability).await?;
    insert_time_off(conn, &plan.time_off).await?;
    insert_resources(conn, &plan.resources).await?;
    insert_holidays(conn, &plan.holidays).await?;
    insert_users(conn, &plan.patient_users, &hashes).await?;
    for patients in plan.patients.chunks(ROWS) {
        insert_patients(conn, patients).await?;
    }
    for appointments in plan.appointments.chunks(ROWS) {
        insert_appointments(conn, appointments).await?;
        insert_claims(conn, appointments).await?;
    }
    Ok(())
}

/// One hash for each password: all of a role share theirs, and a hash costs some 15 ms on purpose.
async fn hashes(plan: &Plan) -> Result<HashMap<String, String>, WriteError> {
    let mut passwords: Vec<String> =
        plan.staff.iter().filter_map(|user| user.password.clone()).collect();
    passwords.sort();
    passwords.dedup();
    let hash = move || {
        passwords
            .into_iter()
            .map(|password| {
                let hash = Argon2::default().hash_password(password.as_bytes())?.to_string();
                Ok((password, hash))
            })
            .collect::<Result<_, password_hash::Error>>()
    };
    Ok(tokio::task::spawn_blocking(hash).await??)
}

async fn insert_users(
    conn: &mut PgConnection,
    users: &[SeedUser],
    hashes: &HashMap<String, String>,
) -> sqlx::Result<()> {
    let hash = |user: &SeedUser| user.password.as_ref().and_then(|password| hashes.get(password));
    sqlx::query(
        "insert into users
           (id, role, full_name, email, phone, language, password_hash, created_at, updated_at)
         select id, role, full_name, email, phone, language, password_hash, created_at, created_at
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::timestamptz[])
           as u (id, role, full_name, email, phone, language, password_hash, created_at)",
    )
    .bind(users.iter().map(|user| user.id).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.role).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.full_name.as_str()).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.email.as_deref()).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.phone.as_deref()).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.language).collect::<Vec<_>>())
    .bind(users.iter().map(|user| hash(user).map(String::as_str)).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.created_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_locations(conn: &mut PgConnection, locations: &[SeedLocation]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into locations (id, name, address, phone, time_zone)
         select *
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])",
    )
    .bind(locations.iter().map(|location| location.id).collect::<Vec<_>>())
    .bind(locations.iter().map(|location| location.name.as_str()).collect::<Vec<_>>())
    .bind(locations.iter().map(|location| location.address.as_str()).collect::<Vec<_>>())
    .bind(locations.iter().map(|location| location.phone.as_str()).collect::<Vec<_>>())
    .bind(locations.iter().map(|location| location.time_zone.name()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// One at a time: `unnest` would flatten a list of lists, and there are few.
async fn insert_doctor(conn: &mut PgConnection, doctor: &SeedDoctor) -> sqlx::Result<()> {
    sqlx::query(
        "insert into doctors
           (id, registration_number, qualification, specialties, languages,
            fee_minor, fee_currency, slot_minutes)
         values ($1, $2, $3, $4, $5, $6, 'INR', $7)",
    )
    .bind(doctor.id)
    .bind(&doctor.registration_number)
    .bind(doctor.qualification)
    .bind(doctor.specialties)
    .bind(doctor.languages)
    .bind(doctor.fee_minor)
    .bind(doctor.slot_minutes)
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_availability(
    conn: &mut PgConnection,
    availability: &[SeedAvailability],
) -> sqlx::Result<()> {
    let breaks = |hours: &SeedAvailability| -> Value {
        hours
            .breaks
            .iter()
            .map(|(from, to)| {
                json!({ "starts_at": from.format("%H:%M").to_string(), "ends_at": to.format("%H:%M").to_string() })
            })
            .collect()
    };
    sqlx::query(
        "insert into availability
           (id, doctor_id, location_id, weekday, starts_at, ends_at, breaks)
         select *
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::time[], $6::time[],
                     $7::jsonb[])",
    )
    .bind(availability.iter().map(|hours| hours.id).collect::<Vec<_>>())
    .bind(availability.iter().map(|hours| hours.doctor_id).collect::<Vec<_>>())
    .bind(availability.iter().map(|hours| hours.location_id).collect::<Vec<_>>())
    .bind(availability.iter().map(|hours| hours.weekday).collect::<Vec<_>>())
    .bind(availability.iter().map(|hours| hours.starts_at).collect::<Vec<_>>())
    .bind(availability.iter().map(|hours| hours.ends_at).collect::<Vec<_>>())
    .bind(availability.iter().map(breaks).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_time_off(conn: &mut PgConnection, time_off: &[SeedTimeOff]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into time_off (id, doctor_id, during, reason)
         select id, doctor_id, tstzrange(starts_at, ends_at), reason
         from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[])
           as t (id, doctor_id, starts_at, ends_at, reason)",
    )
    .bind(time_off.iter().map(|leave| leave.id).collect::<Vec<_>>())
    .bind(time_off.iter().map(|leave| leave.doctor_id).collect::<Vec<_>>())
    .bind(time_off.iter().map(|leave| leave.starts_at).collect::<Vec<_>>())
    .bind(time_off.iter().map(|leave| leave.ends_at).collect::<Vec<_>>())
    .bind(time_off.iter().map(|leave| leave.reason).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_resources(conn: &mut PgConnection, resources: &[SeedResource]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into resources (id, kind, name, location_id, user_id, capacity)
         select id, kind, name, location_id, case kind when 'therapist' then id end, capacity
         from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::smallint[])
           as r (id, kind, name, location_id, capacity)",
    )
    .bind(resources.iter().map(|one| one.id).collect::<Vec<_>>())
    .bind(resources.iter().map(|one| one.kind).collect::<Vec<_>>())
    .bind(resources.iter().map(|one| one.name).collect::<Vec<_>>())
    .bind(resources.iter().map(|one| one.location_id).collect::<Vec<_>>())
    .bind(resources.iter().map(|one| one.capacity).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_holidays(conn: &mut PgConnection, holidays: &[SeedHoliday]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into holidays (id, first_day, last_day, name)
         select id, day, day, name from unnest($1::uuid[], $2::date[], $3::text[]) as h (id, day, name)",
    )
    .bind(holidays.iter().map(|holiday| holiday.id).collect::<Vec<_>>())
    .bind(holidays.iter().map(|holiday| holiday.day).collect::<Vec<_>>())
    .bind(holidays.iter().map(|holiday| holiday.name).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ordered, because the order of insertion numbers them.
async fn insert_patients(conn: &mut PgConnection, patients: &[SeedPatient]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into patients
           (id, user_id, full_name, phone, email, date_of_birth, gender, language, address,
            created_at, updated_at)
         select id, user_id, full_name, phone, email, date_of_birth, gender, language, address,
                created_at, created_at
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::date[],
                     $7::text[], $8::text[], $9::text[], $10::timestamptz[])
           with ordinality
           as p (id, user_id, full_name, phone, email, date_of_birth, gender, language, address,
                 created_at, nth)
         order by nth",
    )
    .bind(patients.iter().map(|patient| patient.id).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.user_id).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.full_name.as_str()).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.phone.as_str()).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.email.as_deref()).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.date_of_birth).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.gender).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.language).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.address.as_str()).collect::<Vec<_>>())
    .bind(patients.iter().map(|patient| patient.created_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ordered, because the order of insertion numbers them.
async fn insert_appointments(
    conn: &mut PgConnection,
    appointments: &[SeedAppointment],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into appointments
           (id, patient_id, doctor_id, location_id, kind, status, during, reason, address,
            cancel_reason, booked_by, version, created_at, updated_at)
         select id, patient_id, doctor_id, location_id, kind, status, tstzrange(starts_at, ends_at),
                reason, address, cancel_reason, booked_by, version, created_at, updated_at
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],
                     $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[], $11::text[],
                     $12::uuid[], $13::bigint[], $14::timestamptz[], $15::timestamptz[])
           with ordinality
           as a (id, patient_id, doctor_id, location_id, kind, status, starts_at, ends_at, reason,
                 address, cancel_reason, booked_by, version, created_at, updated_at, nth)
         order by nth",
    )
    .bind(appointments.iter().map(|visit| visit.id).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.patient_id).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.doctor_id).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.location_id).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.kind).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.status).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.starts_at).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.ends_at).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.reason).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.address.as_str()).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.cancel_reason).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.booked_by).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.version).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.created_at).collect::<Vec<_>>())
    .bind(appointments.iter().map(|visit| visit.updated_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// The doctor's and the patient's, of those that hold their time.
async fn insert_claims(
    conn: &mut PgConnection,
    appointments: &[SeedAppointment],
) -> sqlx::Result<()> {
    let held: Vec<_> = appointments.iter().filter(|visit| visit.holds_time()).collect();
    sqlx::query(
        "insert into claims (appointment_id, subject_id, during)
         select id, subject_id, tstzrange(starts_at, ends_at)
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
           as a (id, doctor_id, patient_id, starts_at, ends_at),
           lateral (values (doctor_id), (patient_id)) as s (subject_id)",
    )
    .bind(held.iter().map(|visit| visit.id).collect::<Vec<_>>())
    .bind(held.iter().map(|visit| visit.doctor_id).collect::<Vec<_>>())
    .bind(held.iter().map(|visit| visit.patient_id).collect::<Vec<_>>())
    .bind(held.iter().map(|visit| visit.starts_at).collect::<Vec<_>>())
    .bind(held.iter().map(|visit| visit.ends_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
