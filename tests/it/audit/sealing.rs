//! When rows are sealed: soon after they were written, by whoever wrote them; what a dead process left, by the sweep. And what
//! central knows of a chain only ever moves along it.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{UNSEALED, known, until_sealed, verdict};
use crate::support::{TestClinic, TestPlatform, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_sealed_soon_and_central_knows() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let began = Instant::now();

    admin.post("/patients", &json!({ "full_name": "Anand Kurup" })).await.expect(201);
    until_sealed(&platform, &clinic).await;

    assert!(began.elapsed() < Duration::from_secs(20), "5 s, and patience for a busy machine");
    let verdict = verdict(&platform, &clinic).await;
    assert_eq!(verdict.broken, None);
    let (n, hash) = known(&platform, &clinic).await.unwrap();
    assert_eq!((n, hash), (verdict.links, verdict.head.to_vec()));
    let shown = admin.get("/audit?action=patient.created").await.expect(200);
    assert_eq!(shown.body["items"][0]["sealed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_log_is_sealed_too() {
    let platform = TestPlatform::new().await;
    platform.super_admin().await;

    until("all is sealed", async || {
        let mut central = platform.server.superuser(&platform.database).await;
        let unsealed: i64 = sqlx::query_scalar(UNSEALED).fetch_one(&mut central).await.unwrap();
        let links: i64 = sqlx::query_scalar("select count(*) from audit_seals")
            .fetch_one(&mut central)
            .await
            .unwrap();
        links > 0 && unsealed == 0
    })
    .await;
}

/// Rows that no process of ours was told of: as if whoever wrote them died before it sealed.
#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_seals_what_nobody_sealed() {
    let (platform, clinic) = TestClinic::new().await;
    until_sealed(&platform, &clinic).await;
    let row = "insert into audit_log (action, entity) values ('test.orphaned', 'test')";
    sqlx::query(row).execute(&mut clinic.connection().await).await.unwrap();

    let due = "update wakeups set sweep_at = now(), due_at = 'infinity'";
    let mut central = platform.server.superuser(&platform.database).await;
    sqlx::query(due).execute(&mut central).await.unwrap();

    until_sealed(&platform, &clinic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_seal_one_chain() {
    let (platform, clinic) = TestClinic::new().await;
    let other = platform.another_instance().await;
    let here = clinic.admin().await;
    let there = here.at(&other.address, &clinic.host);

    for i in 0..30 {
        let new = json!({ "full_name": format!("Patient {i}") });
        let (a, b) = tokio::join!(here.post("/patients", &new), there.post("/patients", &new));
        a.expect(201);
        b.expect(201);
    }
    until_sealed(&platform, &clinic).await;

    assert_eq!(verdict(&platform, &clinic).await.broken, None);
    assert!(clinic.count("select count(*) from audit_seals").await >= 60);
}

/// The end of the log is cut off, and the log grows on past where it was: central does not forget what it has seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_shows_it_however_much_is_added() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    admin.post("/patients", &json!({ "full_name": "Anand Kurup" })).await.expect(201);
    until_sealed(&platform, &clinic).await;
    let (n, before) = known(&platform, &clinic).await.unwrap();
    let mut connection = clinic.connection().await;
    for sql in [
        "delete from audit_log where id = (select log_id from audit_seals order by n desc limit 1)",
        "delete from audit_seals where n = (select max(n) from audit_seals)",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    for i in 0..3 {
        admin.post("/patients", &json!({ "full_name": format!("Later {i}") })).await.expect(201);
    }
    until("the log has grown past where it was cut", async || {
        clinic.count("select max(n) from audit_seals").await > n
            && clinic.count(UNSEALED).await == 0
    })
    .await;

    assert_eq!(known(&platform, &clinic).await, Some((n, before)));
    let verdict = verdict(&platform, &clinic).await;
    assert_eq!(verdict.broken, Some(nadi::audit::Broken::Replaced { n }));
}
