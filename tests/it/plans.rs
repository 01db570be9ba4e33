//! How PostgreSQL runs what a clinic asks all day: through an index, never by reading a large table whole. Seen in the
//! counters of the tables, after the requests themselves under the clinic's own settings.

use nadi::auth::Role;
use nadi::seed::{self, LoadShape, Plan};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::{Duration, Instant, sleep};

use crate::support::{Caller, TestClinic, TestPlatform};

/// Tables that grow with the years.
const LARGE: [&str; 3] = ["patients", "appointments", "claims"];

/// A clinic with enough in it that an index pays.
async fn busy_clinic() -> (TestPlatform, TestClinic) {
    clinic_with(3_000, 12_000).await
}

async fn clinic_with(patients: usize, appointments: usize) -> (TestPlatform, TestClinic) {
    let (platform, clinic) = TestClinic::new().await;
    let shape = LoadShape { patients, appointments, time_zone: "Asia/Kolkata".parse().unwrap() };
    let plan = Plan::load(&shape, 1, platform.clock.now()).unwrap();
    let mut connection = clinic.connection().await;
    let mut tx = connection.begin().await.unwrap();
    seed::write(&mut tx, &plan).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::raw_sql("analyze").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (platform, clinic)
}

/// How often each large table was read whole. A backend tells for certain only when it ends: the tests' own have, and the
/// server's too once it has stopped.
async fn read_whole(clinic: &TestClinic, stopped: bool) -> Vec<(String, i64)> {
    let mut connection = clinic.connection().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let others = "select count(*) from pg_stat_activity
                  where datname = current_database() and backend_type = 'client backend'
                    and pid <> pg_backend_pid() and ($1 or application_name <> 'nadi')";
    while sqlx::query_scalar::<_, i64>(others)
        .bind(stopped)
        .fetch_one(&mut connection)
        .await
        .unwrap()
        > 0
    {
        assert!(Instant::now() < deadline, "connections stay open");
        sleep(Duration::from_millis(20)).await;
    }
    scans(&mut connection, "seq_scan").await
}

async fn scans(connection: &mut PgConnection, column: &str) -> Vec<(String, i64)> {
    let sql = format!(
        "select relname::text, coalesce({column}, 0) from pg_stat_user_tables where relname = any ($1) order by 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(LARGE).fetch_all(connection).await.unwrap()
}

async fn a_day_at_the_desk(clinic: &TestClinic, desk: &Caller) {
    let (doctor, location, patient) = (clinic.doctor, clinic.location, clinic.patients[0]);
    for path in [
        format!("/appointments?doctor_id={doctor}&date=2099-01-05"),
        format!("/appointments?patient_id={patient}"),
        format!("/appointments?location_id={location}&date=2099-01-05"),
        "/appointments?date=2099-01-05&status=booked".into(),
        "/patients".into(),
        "/patients?search=lakshmi".into(),
        "/patients?search=laksmi".into(),
        "/patients?search=98470123".into(),
        "/patients?search=P-000002".into(),
        format!("/doctors/{doctor}/slots?from=2099-01-05&to=2099-01-12"),
    ] {
        desk.get(&path).await.expect(200);
    }
    let visit = desk.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201);
    let path = format!("/appointments/{}", visit.id());
    let mut later = clinic.visit("2099-01-05T05:30:00Z");
    later["reason"] = json!("the bus is late");
    let moved = desk.put(&path, visit.header("etag"), &later).await.expect(200);
    desk.get(&path).await.expect(200);
    assert_ne!(moved.header("etag"), visit.header("etag"));
    desk.delete(&path).await.expect(200);
    let visit = clinic.visit_of(clinic.patients[1], "2099-01-05T06:30:00Z");
    let visit = desk.post("/appointments", &visit).await.expect(201).id();
    let path = format!("/appointments/{visit}/check-in");
    desk.send(desk.request(Method::POST, &path)).await.expect(200);
    let queue = desk.get("/queue?date=2099-01-05").await.expect(200);
    assert_eq!(queue.body["items"][0]["place"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_at_the_desk_reads_no_large_table_whole() {
    let (mut platform, clinic) = busy_clinic().await;
    let before = read_whole(&clinic, false).await;

    a_day_at_the_desk(&clinic, &clinic.desk().await).await;
    clinic.caller(Role::Therapist).await.get("/appointments?date=2099-01-05").await.expect(200);
    clinic.patient().await.get("/appointments").await.expect(200);
    platform.stop().await;

    assert_eq!(read_whole(&clinic, true).await, before);
    let mut connection = clinic.connection().await;
    for (table, through_index) in scans(&mut connection, "idx_scan").await {
        assert!(through_index > 0, "{table} was not looked at: this test proves nothing of it");
    }
}

/// Also where so few are there that a planner may think it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_goes_through_nobody_elses_visits() {
    for whose in ["doctor", "patient", "location"] {
        let (mut platform, clinic) = clinic_with(30, 250).await;
        let mut connection = clinic.connection().await;
        // Whoever has fewest.
        let sql =
            format!("select {whose}_id, count(*) from appointments group by 1 order by 2 limit 1");
        let (id, count): (uuid::Uuid, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let desk = clinic.desk().await;
        read_whole(&clinic, false).await;
        let before = visits_read(&clinic).await;

        let query = format!("{whose}_id={id}&from=2000-01-01T00:00:00Z&to=2199-01-01T00:00:00Z");
        let list = desk.get(&format!("/appointments?{query}")).await.expect(200);
        platform.stop().await;

        assert_eq!(list.body["items"].as_array().unwrap().len() as i64, count.min(50), "{whose}");
        read_whole(&clinic, true).await;
        let read = visits_read(&clinic).await - before;
        assert!(
            (1..=count).contains(&read),
            "{read} visits were read, of its own a {whose} has {count}"
        );
    }
}

/// Rows of visits that statements have read, through an index or not.
async fn visits_read(clinic: &TestClinic) -> i64 {
    let sql = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'appointments'";
    let mut connection = clinic.connection().await;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

/// The first test here sees a table that is read whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_read_whole_shows() {
    let (_platform, clinic) = TestClinic::new().await;
    let before = read_whole(&clinic, false).await;

    let mut connection = clinic.connection().await;
    sqlx::query("select count(notes) from patients").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let count =
        |counts: &[(String, i64)]| counts.iter().find(|(table, _)| table == "patients").unwrap().1;
    assert_eq!(count(&read_whole(&clinic, false).await), count(&before) + 1);
}
