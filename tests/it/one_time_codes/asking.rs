//! Asking for a code, and asking again.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    LAKSHMI, NOBODY, PRAKASH, all_is_sent, as_in, ask, code, guess, letters, pass, sign_in,
};
use crate::support::{Answer, TestClinic, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_signs_in_with_the_code_that_came_and_sees_himself_alone() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let asked = ask(&anybody, "098470 12345").await.expect(202);
    let code = code(&platform, LAKSHMI, 1).await;
    let entered =
        guess(&anybody, &asked.body["request_id"], &format!("{} {}", &code[..3], &code[3..])).await;

    let entered = entered.expect(200);
    assert_eq!(asked.body["expires_in"], 300);
    assert_eq!(asked.body["resend_after"], 30);
    assert_eq!(entered.body["user"]["role"], "patient");
    assert_eq!(entered.body["token_type"], "Bearer");
    let patient = as_in(&anybody, &entered);
    let me = patient.get("/auth/me").await.expect(200);
    assert_eq!(me.body["patient_id"], clinic.patients[0].to_string());
    let listed = patient.get("/patients").await.expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1, "{}", listed.text);
    patient.get(&format!("/patients/{}", clinic.patients[1])).await.expect(404);
    patient.get("/users").await.expect(403);
    let refresh = json!({ "refresh_token": entered.body["refresh_token"] });
    anybody.post("/auth/refresh", &refresh).await.expect(200);
    let letter = &letters(&platform, LAKSHMI).await[0];
    assert_eq!(letter.channel, "whatsapp");
    assert!(!letter.subject.contains(&code), "{}", letter.subject);
    assert!(letter.body.contains("Dear Lakshmi,"), "{}", letter.body);
    assert_eq!(clinic.count("select count(*) from audit_log where action = 'session.opened' and role = 'patient'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_account_yet_has_one_after_the_first_code() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let first = sign_in(&platform, &anybody, "PRAKASH@mail.example", "prakash@mail.example")
        .await
        .expect(200);
    let second = sign_in(&platform, &anybody, PRAKASH, PRAKASH).await.expect(200);

    assert_eq!(first.body["user"]["id"], second.body["user"]["id"]);
    assert_eq!(first.body["user"]["full_name"], "Prakash Nair");
    let me = as_in(&anybody, &second).get("/auth/me").await.expect(200);
    assert_eq!(me.body["patient_id"], clinic.patients[1].to_string());
    let letter = &letters(&platform, "prakash@mail.example").await[0];
    assert_eq!(letter.channel, "email");
    assert_eq!(clinic.count("select count(*) from users where role = 'patient'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_sound_the_same() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let said = |answer: &Answer| {
        let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        headers.sort();
        let mut body = answer.body.clone();
        if answer.status == 202 {
            assert!(body["request_id"].as_str().unwrap().parse::<Uuid>().is_ok());
            body["request_id"] = Value::Null;
        }
        body["instance"] = Value::Null;
        (answer.status, headers, body)
    };

    let known = [ask(&anybody, LAKSHMI).await, ask(&anybody, "lakshmi@mail.example").await];
    let unknown = [ask(&anybody, NOBODY).await, ask(&anybody, "nobody@mail.example").await];
    let again = [ask(&anybody, LAKSHMI).await, ask(&anybody, NOBODY).await];

    assert_eq!(known.each_ref().map(said), unknown.each_ref().map(said));
    assert_eq!(said(&again[0]), said(&again[1]));
    assert_eq!(again[0].status, 429);
    assert_eq!(again[0].problem(), "rate-limited");
    let wait: u64 = again[0].header("retry-after").parse().unwrap();
    assert!((25..=30).contains(&wait), "{wait}");
    assert_eq!(again[0].header("ratelimit-policy"), "\"otp-resend\";q=1;w=30");
    assert_eq!(again[0].header("ratelimit"), format!("\"otp-resend\";r=0;t={wait}"));
    let rows = "select count(*) from outbox where purpose = 'code.sign_in'";
    assert_eq!(clinic.count(rows).await, 4, "the unknown ones too");
    all_is_sent(&clinic).await;
    let aside =
        "select count(*) from outbox where purpose = 'code.sign_in' and status = 'suppressed'";
    assert_eq!(clinic.count(aside).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_it_is_the_same_code_under_the_same_request() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let first = ask(&anybody, LAKSHMI).await.expect(202);
    let sent = code(&platform, LAKSHMI, 1).await;

    pass(&clinic, "31 s").await;
    let second = ask(&anybody, LAKSHMI).await.expect(202);
    pass(&clinic, "31 s").await;
    ask(&anybody, LAKSHMI).await.expect(429);
    pass(&clinic, "30 s").await;
    let third = ask(&anybody, LAKSHMI).await.expect(202);
    pass(&clinic, "100 s").await;
    let early = ask(&anybody, LAKSHMI).await.expect(429);

    assert_eq!(first.body["request_id"], second.body["request_id"]);
    assert_eq!(first.body["request_id"], third.body["request_id"]);
    assert_eq!(second.body["resend_after"], 60);
    assert_eq!(third.body["resend_after"], 120);
    assert_eq!(early.header("ratelimit-policy"), "\"otp-resend\";q=1;w=120");
    let left = third.body["expires_in"].as_i64().unwrap();
    assert!((200..=208).contains(&left), "its end stays where it was: {left}");
    assert_eq!(code(&platform, LAKSHMI, 3).await, sent);
    guess(&anybody, &first.body["request_id"], &sent).await.expect(200);
    // Used, it does not hinder the next sign-in; and that has a code of its own.
    let next = ask(&anybody, LAKSHMI).await.expect(202);
    assert_ne!(next.body["request_id"], first.body["request_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_nearly_dead_makes_room_for_another() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let first = ask(&anybody, LAKSHMI).await.expect(202);
    let old = code(&platform, LAKSHMI, 1).await;
    pass(&clinic, "280 s").await;

    let second = ask(&anybody, LAKSHMI).await.expect(202);

    assert_ne!(first.body["request_id"], second.body["request_id"]);
    assert_eq!(second.body["expires_in"], 300);
    guess(&anybody, &first.body["request_id"], &old).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_sign_in_gets_nothing() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let mut inside = clinic.connection().await;
    sqlx::query("update users set status = 'suspended' where role = 'patient'")
        .execute(&mut inside)
        .await
        .unwrap();
    sqlx::query("update patients set deleted_at = now() where full_name = 'Prakash Nair'")
        .execute(&mut inside)
        .await
        .unwrap();

    for identifier in [LAKSHMI, "lakshmi@mail.example", PRAKASH, "receptionist@shanti.example"] {
        ask(&anybody, identifier).await.expect(202);
    }

    all_is_sent(&clinic).await;
    let codes = platform.inbox.items().await.unwrap();
    assert!(!codes.iter().any(|item| item.subject.starts_with("Your code")), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_after_the_code_came_stays_out() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let code = code(&platform, LAKSHMI, 1).await;
    let mut inside = clinic.connection().await;
    sqlx::query("update users set status = 'banned' where role = 'patient'")
        .execute(&mut inside)
        .await
        .unwrap();

    let refused = guess(&anybody, &asked.body["request_id"], &code).await.expect(401);

    assert_eq!(refused.problem(), "otp-invalid");
    assert_eq!(clinic.count("select count(*) from sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_being_suspended_while_the_code_is_judged_opens_no_session() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let code = code(&platform, LAKSHMI, 1).await;
    let mut inside = clinic.connection().await;
    let mut suspending = sqlx::Connection::begin(&mut inside).await.unwrap();
    sqlx::query("update users set status = 'suspended' where role = 'patient'")
        .execute(&mut *suspending)
        .await
        .unwrap();

    let (refused, ()) = tokio::join!(guess(&anybody, &asked.body["request_id"], &code), async {
        until("the sign-in waits", async || {
            let waiting = "select count(*) from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            clinic.count(waiting).await > 0
        })
        .await;
        suspending.commit().await.unwrap();
    });

    assert_eq!(refused.expect(401).problem(), "otp-invalid");
    assert_eq!(clinic.count("select count(*) from sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_by_the_ways_that_were_asked_for() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let by = async |identifier: &str, channels: Value| {
        anybody
            .post("/auth/otp/request", &json!({ "identifier": identifier, "channels": channels }))
            .await
    };

    by(LAKSHMI, json!(["email"])).await.expect(202);
    by(PRAKASH, json!(["sms"])).await.expect(202);

    code(&platform, "lakshmi@mail.example", 1).await; // the address that the clinic has of her
    code(&platform, PRAKASH, 1).await;
    assert_eq!(letters(&platform, PRAKASH).await[0].channel, "sms");
    let bad = by("lakshmi@mail.example", json!(["sms"])).await.expect(422);
    assert_eq!(bad.faults(), [("/channels".to_owned(), "not_available".to_owned())]);
    let bad = by(LAKSHMI, json!(["pigeon"])).await.expect(422);
    assert_eq!(bad.faults(), [("/channels/0".to_owned(), "unknown_value".to_owned())]);
    let bad = anybody.post("/auth/otp/request", &json!({ "identifer": "x" })).await.expect(422);
    let faults = [("/identifier", "required"), ("/identifer", "unknown_field")];
    assert_eq!(bad.faults(), faults.map(|(p, c)| (p.to_owned(), c.to_owned())));
    let bad = ask(&anybody, "lakshmi").await.expect(422);
    assert_eq!(bad.faults(), [("/identifier".to_owned(), "invalid_format".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_no_codes() {
    let (platform, _clinic) = TestClinic::new().await;
    let admin = platform.anybody("admin.localhost");
    for path in ["/auth/otp/request", "/auth/otp/verify", "/auth/otp/choose", "/auth/register"] {
        assert_eq!(admin.post(path, &json!({})).await.expect(404).problem(), "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_leaves_at_once() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    ask(&anybody, "warm@mail.example").await.expect(202);
    all_is_sent(&clinic).await;
    let asked_at = std::time::Instant::now();

    ask(&anybody, LAKSHMI).await.expect(202);
    code(&platform, LAKSHMI, 1).await;

    // Milliseconds when the machine is idle; the ledger's own way would take its grace of three seconds.
    assert!(
        asked_at.elapsed() < std::time::Duration::from_millis(1500),
        "{:?}",
        asked_at.elapsed()
    );
}
