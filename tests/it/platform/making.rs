//! Clinics are made whole or not at all.

use std::time::Duration;

use nadi::tenancy::roles;
use reqwest::Method;
use serde_json::json;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{SOON, new_clinic, run, until};
use crate::support::TestPlatform;

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
async fn what_died_while_it_was_being_made_is_undone() {
    let platform = TestPlatform::new().await;
    let owner = platform.super_admin().await;
    let mut superuser = platform.server.superuser("postgres").await;
    let mut names = Vec::new();
    // Dead after the reservation, after the database, after the role, and while being undone.
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
            let template = platform.core.provisioner.template().await.unwrap();
            roles::clone_database(&mut provisioning, id, &template).await.unwrap();
        }
        if n >= 2 {
            roles::open_database(&mut provisioning, id, "x").await.unwrap();
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
async fn no_name_is_taken_before_there_is_a_template() {
    let options = crate::support::Options { no_server: true, ..Default::default() };
    let platform = TestPlatform::with(options).await;
    let mut central = platform.server.superuser(&platform.database).await;
    let hold = "select pg_advisory_lock(1851876457, 2)".to_owned(); // somebody makes the template
    run(&mut central, [hold]).await;

    let waits = async {
        crate::support::until("it waits for the template", async || {
            sqlx::query_scalar(
                "select exists(select from pg_locks l join pg_database d on d.oid = l.database
                               where d.datname = current_database() and l.locktype = 'advisory' and not l.granted)",
            )
            .fetch_one(&mut central)
            .await
            .unwrap()
        })
        .await;
        let taken: i64 = sqlx::query_scalar("select count(*) from clinics")
            .fetch_one(&mut central)
            .await
            .unwrap();
        run(&mut central, ["select pg_advisory_unlock(1851876457, 2)".to_owned()]).await;
        taken
    };
    let (_made, taken) = tokio::join!(platform.provision("shanti"), waits);

    assert_eq!(taken, 0, "its lease would run");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_his_lease_takes_what_he_made_with_him() {
    let options = crate::support::Options { no_server: true, ..Default::default() };
    let platform = TestPlatform::with(options).await;
    let mut central = platform.server.superuser(&platform.database).await;
    // As if another instance had taken the clinic over, and undone what there was by then.
    run(&mut central, [
        "create function taken_over() returns trigger language plpgsql as 'begin return null; end'".to_owned(),
        "create trigger taken_over before update or delete on clinics for each row execute function taken_over()".to_owned(),
    ])
    .await;
    let request = nadi::tenancy::provision::NewClinic {
        slug: "shanti".into(),
        name: "Shanti".into(),
        time_zone: "Asia/Kolkata".into(),
        language: "en".into(),
        country: "IN".into(),
        state: None,
        admin: nadi::tenancy::provision::NewAdmin {
            full_name: "Asha Nair".into(),
            email: "asha@shanti.example".into(),
            phone: None,
        },
        owner: None,
    };

    let made = platform.core.provisioner.provision(&request, nadi::audit::Actor::platform()).await;

    let error = made.err().expect("it is another's").to_string();
    assert!(error.contains("lease lapsed"), "{error}");
    let id: uuid::Uuid =
        sqlx::query_scalar("select id from clinics").fetch_one(&mut central).await.unwrap();
    assert_eq!(traces(&mut central, &roles::database_name(id.into())).await, 0);
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
