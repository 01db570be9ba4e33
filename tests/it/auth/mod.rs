//! Signing in, staying in and getting out.

use std::time::Duration;

use chrono::TimeDelta;
use nadi::auth::{Role, links};
use nadi::tenancy::notices::Notice;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::support::{Answer, Caller, Options, TestClinic, TestPlatform};

const PASSWORD: &str = "lamp-oil-and-tulasi";

async fn log_in(caller: &Caller, identifier: &str, password: &str) -> Answer {
    caller.post("/auth/login", &json!({ "identifier": identifier, "password": password })).await
}

async fn refresh(caller: &Caller, token: &Value) -> Answer {
    caller.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

/// Asks until the answer has this status; how long it took.
async fn until(caller: &Caller, status: u16) -> Duration {
    let began = Instant::now();
    loop {
        let answer = caller.get("/auth/me").await;
        if answer.status == status {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "still {}", answer.status);
    }
}

/// What an instance promises of what it has to hear from another, and time for a busy machine.
const SOON: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_gets_tokens_that_say_who_he_is() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let answer = log_in(&anybody, "DOCTOR@shanti.example", PASSWORD).await.expect(200);

    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 900);
    assert_eq!(answer.body["user"]["role"], "doctor");
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut doctor = anybody;
    doctor.token = answer.body["access_token"].as_str().map(str::to_owned);
    let me = doctor.get("/auth/me").await.expect(200);
    assert_eq!(me.body["user"]["id"], clinic.account(Role::Doctor).to_string());
    let permissions = me.body["permissions"].as_array().unwrap();
    assert!(permissions.contains(&json!("patients.write")), "{}", me.text);
    assert!(!permissions.contains(&json!("staff.write")), "{}", me.text);
    let patient = clinic.patient().await.get("/auth/me").await.expect(200);
    assert_eq!(patient.body["patient_id"], clinic.patients[0].to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_sound_the_same() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let wrong = log_in(&anybody, "doctor@shanti.example", "not the password").await.expect(401);
    let unknown = log_in(&anybody, "nobody@shanti.example", "not the password").await.expect(401);
    let patient = log_in(&anybody, "+919847012345", "not the password").await.expect(401);

    assert_eq!(wrong.problem(), "invalid-credentials");
    let said = |answer: &Answer| {
        let mut body = answer.body.clone();
        body["instance"] = Value::Null;
        (answer.status, body)
    };
    assert_eq!(said(&wrong), said(&unknown));
    assert_eq!(said(&wrong), said(&patient));
    let bad = anybody
        .post("/auth/login", &json!({ "identifier": "", "passwort": "x" }))
        .await
        .expect(422);
    let expected =
        [("/identifier", "required"), ("/password", "required"), ("/passwort", "unknown_field")];
    assert_eq!(bad.faults(), expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
}

fn from(
    caller: &Caller,
    address: &str,
    identifier: &str,
    password: &str,
) -> reqwest::RequestBuilder {
    caller
        .request(reqwest::Method::POST, "/auth/login")
        .header("x-forwarded-for", address)
        .json(&json!({ "identifier": identifier, "password": password }))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_failures_lock_one_identifier_at_one_address() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let try_from = async |address: &str, identifier: &str, password: &str| {
        anybody.send(from(&anybody, address, identifier, password)).await
    };
    for _ in 0..9 {
        try_from("203.0.113.7", "doctor@shanti.example", "wrong").await.expect(401);
    }
    try_from("203.0.113.7", "doctor@shanti.example", PASSWORD).await.expect(200);
    for _ in 0..10 {
        try_from("203.0.113.7", "doctor@shanti.example", "wrong").await.expect(401);
    }

    let locked = try_from("203.0.113.7", "Doctor@Shanti.example", PASSWORD).await.expect(429);

    assert_eq!(locked.problem(), "rate-limited");
    let wait: u64 = locked.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(locked.header("ratelimit-policy"), "\"login\";q=10;w=900");
    assert_eq!(locked.header("ratelimit"), format!("\"login\";r=0;t={wait}"));
    try_from("203.0.113.8", "doctor@shanti.example", PASSWORD).await.expect(200);
    try_from("203.0.113.7", "receptionist@shanti.example", PASSWORD).await.expect(200);
    // Whoever forges a nearer hop is still who the proxy saw.
    try_from("10.1.1.1, 203.0.113.7", "doctor@shanti.example", PASSWORD).await.expect(429);
    let mut inside = clinic.connection().await;
    sqlx::query("update login_failures set failed_at = failed_at - interval '15 minutes'")
        .execute(&mut inside)
        .await
        .unwrap();
    try_from("203.0.113.7", "doctor@shanti.example", PASSWORD).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_made_at_once_are_counted_like_guesses_in_a_row() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let guesses = (0..30).map(|_| log_in(&anybody, "doctor@shanti.example", "wrong"));
    let answers = futures_util::future::join_all(guesses).await;

    let answered = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(answered, 10, "the rest learn nothing");
    assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status.as_u16())));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_tabs_that_refresh_at_once_all_stay_signed_in() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let token = json!(desk.refresh_token);

    let answers = futures_util::future::join_all((0..20).map(|_| refresh(&desk, &token))).await;

    let successor = answers[0].body["refresh_token"].clone();
    assert_ne!(successor, token);
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.body["refresh_token"], successor, "never a second branch");
        assert_eq!(answer.body["session_id"], answers[0].body["session_id"]);
        let mut tab = clinic.anybody();
        tab.token = answer.body["access_token"].as_str().map(str::to_owned);
        tab.get("/auth/me").await.expect(200);
    }
    let next = refresh(&desk, &successor).await.expect(200);
    assert_ne!(next.body["refresh_token"], successor);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_ends_the_session() {
    let (_platform, clinic) = TestClinic::new().await;
    let mut inside = clinic.connection().await;

    // An ancestor, however young.
    let desk = clinic.desk().await;
    let first = json!(desk.refresh_token);
    let second = refresh(&desk, &first).await.expect(200).body["refresh_token"].clone();
    let third = refresh(&desk, &second).await.expect(200).body["refresh_token"].clone();
    desk.get("/auth/me").await.expect(200);
    assert_eq!(refresh(&desk, &first).await.expect(401).problem(), "refresh-token-reused");
    desk.get("/auth/me").await.expect(401);
    assert_eq!(refresh(&desk, &third).await.expect(401).problem(), "unauthenticated");

    // The immediate predecessor, once its ten seconds have passed.
    let desk = clinic.desk().await;
    let first = json!(desk.refresh_token);
    refresh(&desk, &first).await.expect(200);
    refresh(&desk, &first).await.expect(200);
    sqlx::query("update sessions set rotated_at = rotated_at - interval '11 seconds'")
        .execute(&mut inside)
        .await
        .unwrap();
    assert_eq!(refresh(&desk, &first).await.expect(401).problem(), "refresh-token-reused");
    desk.get("/auth/me").await.expect(401);

    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'session.stolen'").await,
        2
    );
    for nonsense in ["", "x", "AAAA"] {
        let answer = refresh(&desk, &json!(nonsense)).await;
        assert!([401, 422].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    let mut forged = first.as_str().unwrap().to_owned();
    forged.replace_range(24..25, if &forged[24..25] == "A" { "B" } else { "A" });
    assert_eq!(refresh(&desk, &json!(forged)).await.expect(401).problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_here_before_its_answer_and_elsewhere_within_a_second() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    desk.get("/auth/me").await.expect(200);
    until(&there, 200).await;

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    desk.get("/auth/me").await.expect(401);
    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
    refresh(&desk, &json!(desk.refresh_token)).await.expect(401);
    desk.post("/auth/logout", &Value::Null).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_against_requests_already_on_their_way() {
    let (_platform, clinic) = TestClinic::new().await;
    for _ in 0..20 {
        let desk = clinic.desk().await;
        // Loads of a session that nobody has cached, under way while it ends.
        let loads = (0..6).map(|_| desk.get("/auth/me"));
        let (_, logout) = tokio::join!(
            futures_util::future::join_all(loads),
            desk.post("/auth/logout", &Value::Null)
        );
        logout.expect(204);

        desk.get("/auth/me").await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_all_ends_every_session_of_that_account_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (phone, laptop, other) = (clinic.desk().await, clinic.desk().await, clinic.admin().await);

    phone.post("/auth/logout-all", &Value::Null).await.expect(204);

    phone.get("/auth/me").await.expect(401);
    laptop.get("/auth/me").await.expect(401);
    refresh(&laptop, &json!(laptop.refresh_token)).await.expect(401);
    other.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one_each_by_its_owner() {
    let (_platform, clinic) = TestClinic::new().await;
    let (phone, laptop, other) = (clinic.desk().await, clinic.desk().await, clinic.admin().await);

    let listed = phone.get("/auth/sessions").await.expect(200);
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{}", listed.text);
    assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
    assert_eq!(items[0]["address"], "127.0.0.1");
    let laptops =
        items.iter().find(|item| item["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("/auth/sessions/{laptops}");
    other.delete(&path).await.expect(404);
    laptop.get("/auth/me").await.expect(200);

    phone.delete(&path).await.expect(204);

    laptop.get("/auth/me").await.expect(401);
    phone.get("/auth/me").await.expect(200);
    phone.delete(&path).await.expect(404);
    phone.delete("/auth/sessions/not-an-id").await.expect(404);
}

async fn link(inside: &mut PgConnection, clinic: &TestClinic) -> String {
    links::put(&mut *inside, clinic.account(Role::Doctor)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_link_is_good_once_and_in_time() {
    let (_platform, clinic) = TestClinic::new().await;
    let (anybody, before) = (clinic.anybody(), clinic.caller(Role::Doctor).await);
    let mut inside = clinic.connection().await;
    let set = async |token: &str, password: &str| {
        anybody.post("/auth/set-password", &json!({ "token": token, "password": password })).await
    };
    let token = link(&mut inside, &clinic).await;
    for (password, code) in [
        ("password123", "too_common"),
        ("1234567890", "too_common"),
        ("short", "too_short"),
        ("nul\0 in the middle", "invalid_characters"),
    ] {
        let refused = set(&token, password).await.expect(422);
        assert_eq!(refused.faults(), [("/password".to_owned(), code.to_owned())], "{password}");
    }

    set(&token, "मानसून की पहली बारिश").await.expect(204);

    before.get("/auth/me").await.expect(401);
    log_in(&anybody, "doctor@shanti.example", PASSWORD).await.expect(401);
    log_in(&anybody, "doctor@shanti.example", "मानसून की पहली बारिश").await.expect(200);
    let again = set(&token, "monsoon harvest lamp").await.expect(401);
    assert_eq!(again.problem(), "link-expired");
    let (older, newer) = (link(&mut inside, &clinic).await, link(&mut inside, &clinic).await);
    set(&older, "monsoon harvest lamp").await.expect(401);
    sqlx::query("update password_links set expires_at = now() where used_at is null")
        .execute(&mut inside)
        .await
        .unwrap();
    set(&newer, "monsoon harvest lamp").await.expect(401);
    set("nonsense", "monsoon harvest lamp").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_two_use_at_once_sets_one_password() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let token = link(&mut clinic.connection().await, &clinic).await;
    let set = |password: &str| {
        let body = json!({ "token": token, "password": password });
        let anybody = anybody.clone();
        async move { anybody.post("/auth/set-password", &body).await.status.as_u16() }
    };

    let (a, b) = tokio::join!(set("monsoon harvest lamp"), set("another lamp altogether"));

    let mut both = [a, b];
    both.sort();
    assert_eq!(both, [204, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_is_out() {
    let platform = TestPlatform::new().await;
    let second = platform.another_instance().await;
    let owner = platform.platform_account(Role::ClinicOwner).await;
    let there = owner.at(&second.address, "admin.localhost");
    until(&there, 200).await;
    let admin = platform.super_admin().await;
    let path = format!("/clinic-admins/{}/status", owner.account_id.as_deref().unwrap());

    let suspended = admin.patch(&path, "*", &json!({ "status": "suspended" })).await.expect(200);

    assert_eq!(suspended.body["status"], "suspended");
    owner.get("/auth/me").await.expect(401);
    assert!(until(&there, 401).await < SOON);
    refresh(&owner, &json!(owner.refresh_token)).await.expect(401);
    let email = suspended.body["email"].as_str().unwrap();
    log_in(&platform.anybody("admin.localhost"), email, PASSWORD).await.expect(401);
    admin.patch(&path, suspended.header("etag"), &json!({ "status": "active" })).await.expect(200);
    log_in(&platform.anybody("admin.localhost"), email, PASSWORD).await.expect(200);
    owner.get("/auth/me").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hears_nothing_looks_for_itself() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    until(&there, 200).await;
    let mut superuser = platform.server.superuser("postgres").await;
    // The listeners' own databases are closed to new ones, so that they stay deaf.
    for sql in [
        format!("alter database {} with allow_connections false", platform.database),
        format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'",
            platform.database
        ),
    ] {
        nadi::tenancy::roles::execute(&mut superuser, sql).await.unwrap();
    }

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    desk.get("/auth/me").await.expect(401);
    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_lost_its_line_hears_again() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let mut superuser = platform.server.superuser("postgres").await;
    for _ in 0..3 {
        let desk = clinic.desk().await;
        let there = desk.at(&second.address, &clinic.host);
        until(&there, 200).await;
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = $1 and application_name = 'nadi listener'",
        )
        .bind(&platform.database)
        .execute(&mut superuser)
        .await
        .unwrap();

        desk.post("/auth/logout", &Value::Null).await.expect(204);

        let took = until(&there, 401).await;
        assert!(took < SOON, "{took:?}");
    }
}

/// Processes that hold still until this is dropped.
struct Frozen(Vec<nix::unistd::Pid>);

impl Frozen {
    fn new(pids: Vec<i32>) -> Self {
        let frozen = Self(pids.into_iter().map(nix::unistd::Pid::from_raw).collect());
        frozen.send(nix::sys::signal::Signal::SIGSTOP);
        frozen
    }

    fn send(&self, signal: nix::sys::signal::Signal) {
        for pid in &self.0 {
            nix::sys::signal::kill(*pid, signal).unwrap();
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send(nix::sys::signal::Signal::SIGCONT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_dead_without_a_word_is_not_trusted() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    let mut superuser = platform.server.superuser("postgres").await;
    let mut listeners: Vec<i32> = Vec::new();
    while listeners.len() < 2 {
        listeners = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = $1 and application_name = 'nadi listener' and query like 'LISTEN%'",
        )
        .bind(&platform.database)
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    }
    // Both hear something before their lines die, so that they trust them.
    platform.core.notices.tell(Notice::Clinic("nobody".into())).await;
    for _ in 0..50 {
        there.get("/auth/me").await.expect(200);
    }
    let _frozen = Frozen::new(listeners);

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_session_outlives_its_first_access_token() {
    let (platform, clinic) = TestClinic::new().await;
    let mut desk = clinic.desk().await;
    platform.clock.advance(TimeDelta::minutes(20));
    desk.get("/auth/me").await.expect(401);

    let fresh = refresh(&desk, &json!(desk.refresh_token)).await.expect(200);

    desk.token = fresh.body["access_token"].as_str().map(str::to_owned);
    desk.get("/auth/me").await.expect(200);
}
