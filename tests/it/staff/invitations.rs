//! How a newcomer gets a password.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{NEW_PASSWORD, newcomer};
use crate::support::{Options, TestClinic, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_let_in_by_a_link_that_is_good_once() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("pharmacist")).await.expect(201);
    assert_eq!(made.header("location"), format!("/api/v1/users/{}", made.id()));
    assert_eq!(
        (&made.body["role"], &made.body["status"]),
        (&json!("pharmacist"), &json!("active"))
    );
    let url = made.body["set_password_url"].as_str().expect("there is no mail provider").to_owned();
    let path = format!("/users/{}", made.id());
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read.body["set_password_url"], Value::Null, "shown once");
    assert_eq!(read.header("etag"), made.header("etag"));
    letter_with(&platform, &url).await;

    let token = url.split_once("token=").unwrap().1;
    let anybody = clinic.anybody();
    let password = json!({ "token": token, "password": NEW_PASSWORD });
    anybody.post("/auth/set-password", &password).await.expect(204);
    let again = anybody.post("/auth/set-password", &password).await.expect(401);
    assert_eq!(again.problem(), "link-expired");
    let anjali = clinic.anybody().sign_in("ANJALI@shanti.example", NEW_PASSWORD).await;
    assert_eq!(anjali.get("/users/me").await.expect(200).body["id"], made.body["id"]);
    clinic.anybody().sign_in("+919847011111", NEW_PASSWORD).await;
    let log =
        "select count(*) from audit_log where action = 'account.created' and role = 'clinic_admin'";
    assert_eq!(clinic.count(log).await, 1);
}

/// Waits for the letter that carries a link.
async fn letter_with(platform: &TestPlatform, url: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let items = platform.inbox.items().await.unwrap();
        if items.iter().any(|item| item.to == "anjali@shanti.example" && item.body.contains(url)) {
            return;
        }
        assert!(Instant::now() < deadline, "no letter carries {url}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_kept_nowhere_that_could_be_read() {
    let options = Options { no_inbox: true, ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let clinic = platform.clinic("shanti").await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("therapist")).await.expect(201);

    let url = made.body["set_password_url"].as_str().unwrap();
    let token = url.split_once("token=").unwrap().1;
    let mut connection = clinic.connection().await;
    for table in ["outbox", "password_links", "users", "audit_log"] {
        let all = sqlx::AssertSqlSafe(format!("select to_json(t)::text from {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut connection).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!rows.iter().any(|row| row.contains(token) || row.contains(&hex)), "{table}");
    }
    let invited = "select count(*) from outbox where purpose = 'account.invited'";
    assert_eq!(clinic.count(invited).await, 2, "the newcomer, and the founder before");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_mail_provider_the_link_goes_by_mail_alone() {
    let smtp = ("NADI_SMTP_URL", "smtp://127.0.0.1:9".to_owned());
    let options = Options { settings: vec![smtp], ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let clinic = platform.clinic("shanti").await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("therapist")).await.expect(201);

    assert!(!made.text.contains("set_password_url"), "{}", made.text);
    let invited = "select count(*) from outbox where purpose = 'account.invited'";
    assert_eq!(clinic.count(invited).await, 2, "the newcomer, and the founder before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_went_astray_is_void_and_another_goes_to_the_right_address() {
    let (platform, clinic) = TestClinic::new().await;
    let (admin, anybody) = (clinic.admin().await, clinic.anybody());
    let mut slip = newcomer("pharmacist");
    slip["email"] = json!("anjaly@shanti.example");
    let made = admin.post("/users", &slip).await.expect(201);
    let path = format!("/users/{}", made.id());
    let set = async |url: &Value| {
        let token = url.as_str().unwrap().split_once("token=").unwrap().1;
        anybody
            .post("/auth/set-password", &json!({ "token": token, "password": NEW_PASSWORD }))
            .await
    };
    let letters = "select count(*) from outbox where purpose = 'account.invited'";
    let before = clinic.count(letters).await;

    admin.put(&path, "*", &newcomer("pharmacist")).await.expect(200);

    set(&made.body["set_password_url"]).await.expect(401);
    assert_eq!(clinic.count(letters).await, before + 1);
    let again = format!("{path}/invitation");
    let bad =
        admin.request(reqwest::Method::POST, &again).header("idempotency-key", "x".repeat(256));
    admin.send(bad).await.expect(422);
    let send = || admin.request(reqwest::Method::POST, &again).header("idempotency-key", "again-1");
    let (first, same) =
        (admin.send(send()).await.expect(200), admin.send(send()).await.expect(200));
    assert_eq!(first.body, same.body);
    letter_with(&platform, first.body["set_password_url"].as_str().unwrap()).await;
    set(&first.body["set_password_url"]).await.expect(204);
    assert_eq!(admin.post(&again, &Value::Null).await.expect(409).problem(), "conflict");
    let mut moved = newcomer("pharmacist");
    moved["email"] = json!("anjali.varma@shanti.example");
    admin.put(&path, "*", &moved).await.expect(200);
    assert_eq!(clinic.count(letters).await, before + 2, "who has a password needs no link");
}
