//! The platform's desk: clinics made, suspended, broken and mended, each without the others noticing.

use std::time::Duration;

use nadi::auth::Role;
use nadi::tenancy::roles;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::support::{Answer, Caller, TestClinic, TestPlatform};

const SOON: Duration = Duration::from_millis(1500);

fn new_clinic(slug: &str) -> Value {
    json!({
        "slug": slug, "name": "Shanti Ayurveda", "time_zone": "Asia/Kolkata",
        "admin": { "full_name": "Asha Nair", "email": "asha@shanti.example", "phone": "098470 12345" },
    })
}

/// Asks until the answer has this status.
async fn until(caller: &Caller, path: &str, status: u16) -> (Answer, Duration) {
    let began = Instant::now();
    loop {
        let answer = caller.get(path).await;
        if answer.status == status {
            return (answer, began.elapsed());
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "still {} {}",
            answer.status,
            answer.text
        );
    }
}

async fn run(connection: &mut PgConnection, statements: impl IntoIterator<Item = String>) {
    for statement in statements {
        roles::execute(connection, statement).await.unwrap();
    }
}

/// Nobody gets in, and whoever is in is out.
fn close(database: &str) -> [String; 2] {
    [
        format!("alter database {database} with allow_connections false"),
        format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{database}'"
        ),
    ]
}

fn reopen(database: &str) -> [String; 1] {
    [format!("alter database {database} with allow_connections true")]
}

/// Databases and roles that belong to no clinic on record here are nobody's: none of these ids may have any.
async fn traces(connection: &mut PgConnection, name: &str) -> i64 {
    sqlx::query_scalar(
        "select (select count(*) from pg_database where datname = $1) + (select count(*) from pg_roles where rolname = $1)",
    )
    .bind(name)
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_is_made_and_its_first_admin_signs_in() {
    let platform = TestPlatform::new().await;
    let second = platform.another_instance().await;
    let owner = platform.super_admin().await;
    let there = platform.anybody("shanti.localhost");
    let elsewhere = second.anybody("shanti.localhost");
    // Somebody asks for it too early: the miss must not outlive the making.
    for caller in [&there, &elsewhere] {
        assert_eq!(caller.get("/auth/me").await.expect(404).problem(), "unknown-clinic");
    }

    let made = owner.post("/clinics", &new_clinic("shanti")).await.expect(201);

    assert_eq!(made.header("location"), "/api/v1/clinics/shanti");
    assert_eq!(made.body["status"], "active");
    assert!(
        made.body["url"].as_str().unwrap().starts_with("http://shanti.localhost"),
        "{}",
        made.text
    );
    there.get("/auth/me").await.expect(401);
    assert!(until(&elsewhere, "/auth/me", 401).await.1 < SOON);
    let link = made.body["set_password_url"].as_str().unwrap();
    let token = link.split_once("/set-password?token=").unwrap().1;
    let page = there.send(there.raw(Method::GET, &format!("/set-password?token={token}"))).await;
    page.expect(200);
    let password = json!({ "token": token, "password": "monsoon harvest lamp" });
    there.post("/auth/set-password", &password).await.expect(204);
    let admin = there.sign_in("Asha@Shanti.example", "monsoon harvest lamp").await;
    let me = admin.get("/auth/me").await.expect(200);
    assert_eq!(
        (&me.body["user"]["role"], &me.body["user"]["phone"]),
        (&json!("clinic_admin"), &json!("+919847012345"))
    );
    admin.post("/patients", &json!({ "full_name": "Lakshmi" })).await.expect(201);
    let seen = owner.get("/clinics/shanti").await.expect(200);
    assert!(seen.body["size_bytes"].as_i64().unwrap() > 1_000_000, "{}", seen.text);
    assert_eq!(seen.header("etag"), made.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_clinic_names_every_fault_and_makes_nothing() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;
    for slug in [
        "ab",
        "1shanti",
        "-shanti",
        "shanti-",
        "sha--nti",
        "Shanti",
        "sha_nti",
        "शान्ति",
        "sha.nti",
        &"x".repeat(41),
        "",
    ] {
        let answer = owner.post("/clinics", &new_clinic(slug)).await.expect(422);
        assert_eq!(answer.faults()[0].0, "/slug", "{slug}");
    }
    for reserved in [
        "admin", "api", "www", "static", "assets", "mail", "smtp", "ftp", "docs", "status", "app",
        "auth", "login",
    ] {
        let answer = owner.post("/clinics", &new_clinic(reserved)).await.expect(422);
        assert_eq!(answer.faults(), [("/slug".to_owned(), "reserved".to_owned())]);
    }

    let bad = json!({
        "slug": "x", "name": "", "time_zone": "India", "language": "english", "country": "Bharat",
        "admin": { "full_name": "A", "email": "nobody", "pone": "1" }, "colour": "blue",
    });
    let answer = owner.post("/clinics", &bad).await.expect(422);

    let places: Vec<String> = answer.faults().into_iter().map(|(place, _)| place).collect();
    let expected = [
        "/slug",
        "/name",
        "/time_zone",
        "/language",
        "/country",
        "/admin/email",
        "/admin/pone",
        "/colour",
    ];
    assert_eq!(places, expected);
    assert_eq!(owner.get("/clinics").await.body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_who_want_one_name_at_once_get_one_clinic() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;

    let posts = (0..10).map(|_| {
        let owner = owner.clone();
        async move { owner.post("/clinics", &new_clinic("shanti")).await }
    });
    let answers = futures_util::future::join_all(posts).await;

    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (409, "slug-taken"),
            "{}",
            answer.text
        );
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let listed = owner.get("/clinics").await.expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clinics_made_at_once_are_all_made() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;

    let posts = (0..16).map(|n| {
        let owner = owner.clone();
        async move { owner.post("/clinics", &new_clinic(&format!("clinic-{n}"))).await }
    });
    let answers = futures_util::future::join_all(posts).await;

    for answer in answers {
        answer.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_makes_one_clinic() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;

    let first = owner.post_with_key("/clinics", &new_clinic("shanti"), "k").await.expect(201);
    let again = owner.post_with_key("/clinics", &new_clinic("shanti"), "k").await.expect(201);

    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.text, first.text);
    let other = owner.post_with_key("/clinics", &new_clinic("arogya"), "k").await.expect(422);
    assert_eq!(other.problem(), "idempotency-key-reused");
}

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
    other.post("/clinics/shanti/suspend", &Value::Null).await.expect(404);
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
async fn what_died_while_it_was_being_made_is_undone() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;
    let mut superuser = platform.server.superuser("postgres").await;
    let mut names = Vec::new();
    // Dead after the reservation, after the role, after the database, and while being undone.
    for (n, status) in
        ["provisioning", "provisioning", "provisioning", "deleting"].into_iter().enumerate()
    {
        let id = nadi::ids::ClinicId::new();
        let mut conn = platform.realm().read().await.unwrap();
        sqlx::query(
            "insert into clinics (id, slug, name, time_zone, status, server_id, root_key_wrapped, lease_token, leased_until)
             select $1, $2, 'Half', 'UTC', $3, id, '', gen_random_uuid(), now() - interval '1 second' from servers",
        )
        .bind(id)
        .bind(format!("half-{n}"))
        .bind(status)
        .execute(&mut conn)
        .await
        .unwrap();
        drop(conn);
        let mut provisioning = {
            use sqlx::ConnectOptions;
            platform.server.provisioning("postgres").connect().await.unwrap()
        };
        if n >= 1 {
            roles::ensure_login(&mut provisioning, id, "x").await.unwrap();
        }
        if n >= 2 {
            let template = platform.core.provisioner.template().await.unwrap();
            roles::ensure_database(&mut provisioning, id, &template).await.unwrap();
        }
        names.push(roles::database_name(id));
    }
    let waiting = platform.anybody("half-0.localhost");
    assert_eq!(waiting.get("/auth/me").await.expect(503).problem(), "clinic-unavailable");

    while platform.core.provisioner.undo_lapsed().await.unwrap() > 0 {}

    for name in names {
        let deadline = Instant::now() + Duration::from_secs(10);
        // The server's own watch may have taken one of them.
        while traces(&mut superuser, &name).await > 0 {
            assert!(Instant::now() < deadline, "{name} is still there");
        }
    }
    assert_eq!(until(&waiting, "/auth/me", 404).await.0.problem(), "unknown-clinic");
    owner.post("/clinics", &new_clinic("half-0")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_making_that_fails_leaves_nothing_behind() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;
    let mut central = platform.server.superuser(&platform.database).await;
    let mut superuser = platform.server.superuser("postgres").await;
    // The last step fails: by then there is a role, a database, an admin.
    run(
        &mut central,
        ["alter table wakeups add constraint no_more check (false) not valid".to_owned()],
    )
    .await;
    run(&mut central, [
        "create table tried (id uuid)".to_owned(),
        "create function note() returns trigger language plpgsql as 'begin insert into tried values (new.id); return new; end'".to_owned(),
        "create trigger note after insert on clinics for each row execute function note()".to_owned(),
        "grant all on tried to public".to_owned(),
    ])
    .await;

    let refused = owner.post("/clinics", &new_clinic("shanti")).await;

    assert!(refused.status.is_server_error(), "{}", refused.text);
    let tried: uuid::Uuid =
        sqlx::query_scalar("select id from tried").fetch_one(&mut central).await.unwrap();
    assert_eq!(traces(&mut superuser, &roles::database_name(tried.into())).await, 0);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from clinics").fetch_one(&mut central).await.unwrap();
    assert_eq!(rows, 0);
    run(&mut central, ["alter table wakeups drop constraint no_more".to_owned()]).await;
    owner.post("/clinics", &new_clinic("shanti")).await.expect(201);
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
