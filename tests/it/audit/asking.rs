//! `GET /audit`: who may, what is found by what, page by page, and how PostgreSQL finds it.

use nadi::auth::Role;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::support::{Caller, TestClinic, TestPlatform, until};

async fn actions(caller: &Caller, query: &str) -> Vec<String> {
    let answer = caller.get(&format!("/audit?{query}")).await.expect(200);
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_who_whom_what_and_when() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let visit = desk.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201);
    desk.delete(&format!("/appointments/{}", visit.id())).await.expect(200);
    let other = json!({ "full_name": "Anand Kurup" });
    let other = admin.post("/patients", &other).await.expect(201).id();
    let booker = clinic.account(Role::Receptionist);
    let (patient, visit) = (clinic.patients[0], visit.id());

    let by = |query: String| {
        let admin = admin.clone();
        async move { actions(&admin, &query).await }
    };
    let both = ["appointment.cancelled", "appointment.booked"];
    assert_eq!(by(format!("about_id={patient}&entity=appointment")).await, both);
    assert_eq!(by(format!("entity_id={visit}")).await, both);
    assert_eq!(by(format!("entity_id={visit}&entity=patient")).await, Vec::<String>::new());
    assert_eq!(by(format!("account_id={booker}&entity=appointment")).await, both);
    assert_eq!(by(format!("action=appointment.booked&account_id={booker}")).await, both[1..]);
    assert_eq!(by(format!("about_id={other}")).await, ["patient.created"]);
    assert_eq!(by("to=2020-01-01T00:00:00Z".into()).await, Vec::<String>::new());
    assert_eq!(by("from=2099-01-01T00:00:00Z".into()).await, Vec::<String>::new());
    let row =
        admin.get(&format!("/audit?entity_id={visit}&action=appointment.booked")).await.expect(200);
    let row = &row.body["items"][0];
    assert_eq!(
        row["account"],
        json!({ "id": booker, "name": "receptionist of shanti", "role": "receptionist" })
    );
    assert_eq!(row["about_id"], json!(patient));
    assert_eq!(row["address"], "127.0.0.1");
    assert!(row["request_id"].is_string() && row["details"]["doctor_id"].is_string());
    until("that somebody read it is in it", async || {
        clinic.count("select count(*) from audit_log where action = 'audit_log.listed'").await >= 9
    })
    .await;

    let wrong = admin
        .get("/audit?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z&account_id=x&nonsense=1")
        .await;
    let errors = wrong.expect(422).body["errors"].clone();
    let names: Vec<&Value> =
        errors.as_array().unwrap().iter().map(|error| &error["name"]).collect();
    assert_eq!(names, ["account_id", "to", "nonsense"]);
    assert_eq!(clinic.patient().await.get("/audit").await.expect(403).problem(), "forbidden");
    assert_eq!(desk.get("/audit").await.expect(403).problem(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_back_in_time_and_miss_nothing() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let rows = "insert into audit_log (at, action, entity)
                select now() - make_interval(secs => i / 3), 'test.row', 'test' from generate_series(1, 120) as i";
    sqlx::query(rows).execute(&mut clinic.connection().await).await.unwrap();

    let (mut found, mut cursor) = (Vec::<Value>::new(), String::new());
    loop {
        let page = admin.get(&format!("/audit?action=test.row&limit=50{cursor}")).await.expect(200);
        found.extend(page.body["items"].as_array().unwrap().clone());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }

    let mut ids: Vec<i64> = found.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    let times: Vec<&str> = found.iter().map(|row| row["at"].as_str().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]));
    ids.sort();
    ids.dedup();
    assert_eq!((found.len(), ids.len()), (120, 120));
    admin.get("/audit?cursor=WzFd").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_its_own_log() {
    let platform = TestPlatform::new().await;
    let superior = platform.super_admin().await;
    let clinic = platform.provision("shanti").await;

    let found = superior.get(&format!("/audit?about_id={clinic}")).await.expect(200);

    assert_eq!(found.body["items"][0]["action"], "clinic.created");
    let owner = platform.platform_account(Role::ClinicOwner).await;
    assert_eq!(owner.get("/audit").await.expect(403).problem(), "forbidden");
}

/// A year of a busy clinic: no set of filters reads the log whole, neither does the sealer.
#[tokio::test(flavor = "multi_thread")]
async fn no_question_reads_the_log_whole() {
    let (mut platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let mut connection = clinic.connection().await;
    let rows = "insert into audit_log (at, account_id, action, entity, entity_id, about_id)
                select now() - make_interval(secs => i), md5((i % 50)::text)::uuid, 'test.row' || i % 40, 'test',
                       md5((i % 5000)::text)::uuid, md5((i % 900)::text)::uuid
                from generate_series(1, 40000) as i";
    sqlx::query(rows).execute(&mut connection).await.unwrap();
    admin.get("/patients").await.expect(200); // rings for the sealer
    super::until_sealed(&platform, &clinic).await;
    platform.stop().await;
    sqlx::raw_sql("analyze").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = scans_in_the_end(&clinic).await;
    let mut platform = platform.another_instance().await;
    let admin = admin.at(&platform.address, &clinic.host);
    let id = "8f14e45f-ceea-167a-5a36-dedd4bea2543"; // md5('7'), as a uuid

    for query in [
        String::new(),
        "entity=test".into(),
        "from=2020-01-01T00:00:00Z&to=2098-01-01T00:00:00Z".into(),
        format!("account_id={id}"),
        format!("about_id={id}"),
        format!("entity_id={id}"),
        "action=test.row7".into(),
        format!("action=test.row7&account_id={id}&entity=test"),
    ] {
        let found = admin.get(&format!("/audit?{query}")).await.expect(200);
        assert!(!found.body["items"].as_array().unwrap().is_empty(), "{query}");
    }
    admin.post("/patients", &json!({ "full_name": "Anand Kurup" })).await.expect(201);
    platform.stop().await; // seals, and its backends tell what they did

    assert_eq!(scans_in_the_end(&clinic).await, before);
    let sealed = "select count(*) from audit_seals s join audit_log l on l.id = s.log_id where entity <> 'test'";
    assert!(clinic.count(sealed).await > 0, "the sealer was at work too");
}

/// How often the log and its chain were read whole. A backend tells for certain only when it ends.
async fn scans_in_the_end(clinic: &TestClinic) -> i64 {
    let mut looker = clinic.connection().await;
    until("all others have gone", async || {
        let others = "select count(*) from pg_stat_activity where datname = current_database()
                      and backend_type = 'client backend' and pid <> pg_backend_pid()";
        sqlx::query_scalar::<_, i64>(others).fetch_one(&mut looker).await.unwrap() == 0
    })
    .await;
    let scans = "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
                 where relname in ('audit_log', 'audit_seals')";
    sqlx::query_scalar(scans).fetch_one(&mut looker).await.unwrap()
}
