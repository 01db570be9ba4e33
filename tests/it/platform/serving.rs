//! Whom a clinic answers, and when it does not.

use std::time::Duration;

use nadi::auth::Role;
use nadi::tenancy::roles;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{SOON, close, new_clinic, reopen, run, until};
use crate::support::{TestClinic, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sees_his_own_clinics_alone() {
    let platform = TestPlatform::new().await;
    let admin = platform.super_admin().await;
    let (one, other) = (
        platform.platform_account(Role::ClinicOwner).await,
        platform.platform_account(Role::ClinicOwner).await,
    );
    let made = one.post("/clinics", &new_clinic("shanti")).await.expect(201);
    assert_eq!(made.body["owner_id"], json!(one.account_id));

    assert_eq!(one.get("/clinics").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(other.get("/clinics").await.body["items"], json!([]));
    other.get("/clinics/shanti").await.expect(404);
    other
        .put("/clinics/shanti", "*", &json!({ "name": "Mine", "time_zone": "UTC" }))
        .await
        .expect(404);
    for step in ["suspend", "resume", "archive"] {
        let step = format!("/clinics/shanti/{step}");
        one.post(&step, &Value::Null).await.expect(403); // that is the platform's to do
    }
    assert_eq!(
        other.post("/clinics", &new_clinic("shanti")).await.expect(409).problem(),
        "slug-taken"
    );
    admin.get("/clinics/shanti").await.expect(200);

    let renamed = json!({ "name": "Shanti of Kochi", "time_zone": "Asia/Kolkata" });
    let changed = one.put("/clinics/shanti", made.header("etag"), &renamed).await.expect(200);
    one.put("/clinics/shanti", made.header("etag"), &renamed).await.expect(412);
    let mut view = changed.body.clone();
    one.put("/clinics/shanti", changed.header("etag"), &view).await.expect(200);
    view["slug"] = json!("other");
    let refused = one.put("/clinics/shanti", "*", &view).await.expect(422);
    assert!(
        refused.faults().contains(&("/slug".to_owned(), "read_only".to_owned())),
        "{}",
        refused.text
    );
    let front = platform.anybody("shanti.localhost");
    assert!(front.send(front.raw(Method::GET, "/")).await.text.contains("Shanti of Kochi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_on_every_instance_within_a_second() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let admin = platform.super_admin().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    until(&there, "/auth/me", 200).await;
    let step =
        async |step: &str| admin.post(&format!("/clinics/shanti/{step}"), &Value::Null).await;

    step("suspend").await.expect(200);
    assert_eq!(desk.get("/auth/me").await.expect(403).problem(), "clinic-suspended");
    let (answer, took) = until(&there, "/auth/me", 403).await;
    assert_eq!(answer.problem(), "clinic-suspended");
    assert!(took < SOON, "{took:?}");
    step("suspend").await.expect(200);

    step("resume").await.expect(200);
    desk.get("/auth/me").await.expect(200);
    assert!(until(&there, "/auth/me", 200).await.1 < SOON);

    step("archive").await.expect(200);
    assert_eq!(desk.get("/auth/me").await.expect(410).problem(), "clinic-archived");
    assert!(until(&there, "/auth/me", 410).await.1 < SOON);
    let refused = step("resume").await.expect(409);
    assert_eq!(refused.problem(), "illegal-transition");
    assert_eq!(
        (&refused.body["from"], &refused.body["to"]),
        (&json!("archived"), &json!("active"))
    );
    admin.post("/clinics/nobody/suspend", &Value::Null).await.expect(404);
    let mut conn = platform.realm().read().await.unwrap();
    let acts: Vec<String> =
        sqlx::query_scalar("select action from audit_log where entity = 'clinic' order by id")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert_eq!(acts, ["clinic.created", "clinic.suspended", "clinic.resumed", "clinic.archived"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_owners_account_is_found_where_its_making_says() {
    let platform = TestPlatform::new().await;
    let admin = platform.super_admin().await;
    let new = json!({ "full_name": "Owner", "email": "owner@x.example" });
    let made = admin.post("/clinic-admins", &new).await.expect(201);
    let path = made.header("location").strip_prefix("/api/v1").unwrap().to_owned();

    let found = admin.get(&path).await.expect(200);
    assert_eq!(
        (&found.body["email"], found.header("etag")),
        (&json!("owner@x.example"), made.header("etag"))
    );
    let suspended = json!({ "status": "suspended" });
    let status = format!("{path}/status");
    admin.patch(&status, found.header("etag"), &suspended).await.expect(200);
    admin.patch(&status, found.header("etag"), &suspended).await.expect(412);
    admin.get(&format!("/clinic-admins/{}", nadi::ids::new_uuid())).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_whose_database_is_shut_hurts_no_other_and_comes_back() {
    let platform = TestPlatform::new().await;
    let (bad, good) = (platform.clinic("shanti").await, platform.clinic("arogya").await);
    let (here, there) = (bad.desk().await, good.desk().await);
    here.get("/patients").await.expect(200);
    let name = roles::database_name(bad.id);
    let mut superuser = platform.server.superuser("postgres").await;
    let breakages = [
        (close(&name).to_vec(), reopen(&name).to_vec()),
        (
            vec![
                format!("alter role {name} nologin"),
                format!(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{name}'"
                ),
            ],
            vec![format!("alter role {name} login")],
        ),
    ];
    for (shut, mend) in breakages {
        run(&mut superuser, shut).await;

        let began = Instant::now();
        let answer = here.get("/patients").await.expect(503);
        assert_eq!(answer.problem(), "clinic-unavailable");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        here.post("/patients", &json!({ "full_name": "Anu" })).await.expect(503);
        here.get("/auth/me").await.expect(503);
        for _ in 0..5 {
            there.get("/patients").await.expect(200);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

        run(&mut superuser, mend).await;
        until(&here, "/patients", 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_wants_a_newer_binary_is_not_served() {
    let (platform, clinic) = TestClinic::new().await;
    let set_level = async |level: i32| {
        sqlx::query("update clinic_identity set min_binary_level = $1")
            .bind(level)
            .execute(&mut clinic.connection().await)
            .await
            .unwrap();
    };
    set_level(99).await;
    let login = json!({ "identifier": "x@y.example", "password": "whatever it is" });
    let anybody = platform.anybody("shanti.localhost");

    let answer = anybody.post("/auth/login", &login).await.expect(503);

    assert_eq!(answer.problem(), "clinic-upgrading");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    set_level(1).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while anybody.post("/auth/login", &login).await.status != 401 {
        assert!(Instant::now() < deadline, "it does not come back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clinics_already_known_go_on_without_the_central_database() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, other) = (clinic.desk().await, clinic.desk().await);
    desk.get("/patients").await.expect(200);
    let mut superuser = platform.server.superuser("postgres").await;
    run(&mut superuser, close(&platform.database)).await;

    desk.get("/patients").await.expect(200);
    desk.post("/patients", &json!({ "full_name": "Anu" })).await.expect(201);
    desk.post("/appointments", &clinic.visit("2099-01-05T04:30:00Z")).await.expect(201);
    clinic.desk().await.get("/auth/me").await.expect(200);
    desk.post("/auth/logout", &Value::Null).await.expect(204);
    desk.get("/patients").await.expect(401);
    other.get("/patients").await.expect(200);
    // Nobody can say whether there is such a clinic.
    let unseen = platform.anybody("arogya.localhost");
    assert_eq!(unseen.get("/auth/me").await.expect(503).problem(), "clinic-unavailable");
    let health = platform.anybody("localhost");
    health.send(health.raw(Method::GET, "/health")).await.expect(200);
    health.send(health.raw(Method::GET, "/health/ready")).await.expect(503);
    platform.anybody("admin.localhost").get("/clinics").await.expect(401);

    run(&mut superuser, reopen(&platform.database)).await;
    assert_eq!(until(&unseen, "/auth/me", 404).await.0.problem(), "unknown-clinic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_instance_serves_its_clinic_alone() {
    let options =
        crate::support::Options { only_clinic: Some("shanti".into()), ..Default::default() };
    let platform = TestPlatform::with(options).await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;

    platform.anybody("shanti.localhost").get("/auth/me").await.expect(401);

    let other = platform.anybody("arogya.localhost").get("/auth/me").await.expect(404);
    assert_eq!(other.problem(), "unknown-clinic");
}
