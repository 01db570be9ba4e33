//! Seeded clinics in a real PostgreSQL: every constraint holds, and numbers, passwords and civil times are right.

use super::{load, now};
use chrono::{DateTime, NaiveTime, Timelike, Utc};
use nadi::seed::{self, AROGYA, ClinicShape, Plan, SHANTI};
use sqlx::{Connection, PgConnection, Row};
use std::time::{Duration, Instant};
use uuid::Uuid;

use crate::support::ScratchDatabase;

#[tokio::test]
async fn both_demo_clinics_load_into_a_real_database() {
    for shape in [&SHANTI, &AROGYA] {
        let database = ScratchDatabase::tenant().await;
        let mut conn = database.superuser().await;
        let plan = Plan::hospital(shape, 1, now());

        write(&mut conn, &plan).await;

        assert_holds(&mut conn, &plan).await;
        assert_passwords_fit(&mut conn, &plan).await;
        assert_times_are_civil(&mut conn, shape).await;
    }
}

#[tokio::test]
async fn a_failed_seed_leaves_nothing() {
    let database = ScratchDatabase::tenant().await;
    let mut conn = database.superuser().await;
    let mut plan = Plan::hospital(&AROGYA, 1, now());
    let taken = plan.appointments.iter().find(|visit| visit.holds_time()).unwrap().clone();
    plan.appointments.push(taken);

    let mut tx = conn.begin().await.unwrap();
    let failed = seed::write(&mut tx, &plan).await;
    tx.rollback().await.unwrap();

    assert!(matches!(failed, Err(seed::WriteError::Db(_))), "{failed:?}");
    assert_eq!(count(&mut conn, "select count(*) from users").await, 0);
}

#[tokio::test]
async fn a_load_plan_is_made_and_written_in_seconds() {
    let database = ScratchDatabase::tenant().await;
    let mut conn = database.superuser().await;

    let started = Instant::now();
    let plan = load(10_000, 20_000).unwrap();
    let made = started.elapsed();
    write(&mut conn, &plan).await;
    let written = started.elapsed() - made;

    assert_holds(&mut conn, &plan).await;
    println!("10,000 patients, 20,000 appointments: made in {made:?}, written in {written:?}");
    assert!(made + written < Duration::from_secs(60), "made {made:?}, written {written:?}");
}

/// As the clinic's own role would: what is written needs no more rights than it has.
async fn write(conn: &mut PgConnection, plan: &Plan) {
    let mut tx = conn.begin().await.unwrap();
    sqlx::query("set local role nadi_clinic").execute(&mut *tx).await.unwrap();
    seed::write(&mut tx, plan).await.unwrap();
    tx.commit().await.unwrap();
}

async fn count(conn: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

/// What is in the database is what was planned; the next numbers follow the last ones; nothing waits to be sent.
async fn assert_holds(conn: &mut PgConnection, plan: &Plan) {
    let (patients, appointments) = (plan.patients.len() as i64, plan.appointments.len() as i64);
    let held = plan.appointments.iter().filter(|visit| visit.holds_time()).count() as i64;
    let users = (plan.staff.len() + plan.patient_users.len()) as i64;
    assert_eq!(count(conn, "select count(*) from users").await, users);
    assert_eq!(count(conn, "select count(*) from patients").await, patients);
    assert_eq!(count(conn, "select count(*) from appointments").await, appointments);
    assert_eq!(count(conn, "select count(*) from claims").await, 2 * held);
    assert_eq!(count(conn, "select count(*) from outbox").await, 0);
    let strays = "select count(*) from claims as c
                  join appointments as a on a.id = c.appointment_id
                  where c.during <> a.during or c.subject_id not in (a.doctor_id, a.patient_id)
                     or a.status in ('cancelled', 'no_show')";
    assert_eq!(count(conn, strays).await, 0, "a claim is its visit's");
    let linked = "select count(*) from patients as p
                  join users as u on u.id = p.user_id and u.role = 'patient' and u.phone = p.phone";
    assert_eq!(count(conn, linked).await, plan.patient_users.len() as i64);

    let numbers: Vec<(Uuid, String)> =
        sqlx::query_as("select id, number from patients order by number")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
    let planned = plan.patients.iter().enumerate();
    let expected: Vec<_> = planned.map(|(n, p)| (p.id, format!("P-{:06}", n + 1))).collect();
    assert!(numbers == expected, "the longest known patient has the first number");
    let next: (String, String) =
        sqlx::query_as("select next_patient_number(), next_appointment_number()")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
    assert_eq!(next.0, format!("P-{:06}", patients + 1));
    assert_eq!(next.1, format!("A-{:06}", appointments + 1));
}

async fn assert_passwords_fit(conn: &mut PgConnection, plan: &Plan) {
    use argon2::password_hash::{PasswordVerifier, phc::PasswordHash};
    for user in plan.sign_ins() {
        let hash: Option<String> =
            sqlx::query_scalar("select password_hash from users where id = $1")
                .bind(user.id)
                .fetch_one(&mut *conn)
                .await
                .unwrap();
        match &user.password {
            None => assert_eq!((hash, user.role), (None, "patient")),
            Some(password) => {
                let hash = hash.unwrap();
                let hash = PasswordHash::new(&hash).unwrap();
                argon2::Argon2::default().verify_password(password.as_bytes(), &hash).unwrap();
            }
        }
    }
}

/// PostgreSQL has its own table of time zones: its civil time must agree with ours, breaks as JSON included.
async fn assert_times_are_civil(conn: &mut PgConnection, shape: &ClinicShape) {
    let rows = sqlx::query(
        "select lower(a.during) as starts_at, (lower(a.during) at time zone l.time_zone)::time as local,
                count(*) filter (
                  where (lower(a.during) at time zone l.time_zone)::time >= h.starts_at
                    and (upper(a.during) at time zone l.time_zone)::time <= h.ends_at
                    and not exists (
                      select from jsonb_to_recordset(h.breaks) as b (starts_at time, ends_at time)
                      where b.starts_at < (upper(a.during) at time zone l.time_zone)::time
                        and b.ends_at > (lower(a.during) at time zone l.time_zone)::time
                    )
                ) as sittings
         from appointments as a
         join locations as l on l.id = a.location_id
         left join availability as h
           on h.doctor_id = a.doctor_id and h.location_id = a.location_id
          and h.weekday = extract(isodow from lower(a.during) at time zone l.time_zone)
         group by a.id, l.id",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let (at, local): (DateTime<Utc>, NaiveTime) = (row.get("starts_at"), row.get("local"));
        assert_eq!(
            at.with_timezone(&shape.time_zone).num_seconds_from_midnight(),
            local.num_seconds_from_midnight()
        );
        assert_eq!(row.get::<i64, _>("sittings"), 1, "{at} is inside one sitting");
    }
}
