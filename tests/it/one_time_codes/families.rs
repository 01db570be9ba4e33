//! Phones that a family shares, and those who come new.

use serde_json::{Value, json};

use super::{LAKSHMI, all_is_sent, as_in, ask, code, guess, letters, pass, sign_in};
use crate::support::{Answer, Caller, TestClinic, TestPlatform};

/// Lakshmi's daughter, on her mother's phone.
async fn daughter(clinic: &TestClinic) {
    sqlx::query("insert into patients (id, full_name, phone) values ($1, 'Meera Menon', $2)")
        .bind(nadi::ids::new_uuid())
        .bind(LAKSHMI)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
}

async fn choose(caller: &Caller, token: &Value, user: &Value) -> Answer {
    caller.post("/auth/otp/choose", &json!({ "choice_token": token, "user_id": user })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_says_who_it_is() {
    let (platform, clinic) = TestClinic::new().await;
    daughter(&clinic).await;
    let anybody = clinic.anybody();

    let offered = sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);

    let members = offered.body["choose"].as_array().unwrap();
    let names: Vec<&str> = members.iter().map(|m| m["full_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Lakshmi Menon", "Meera Menon"]);
    assert!(offered.body["access_token"].is_null());
    assert_eq!(clinic.count("select count(*) from sessions").await, 0);
    assert!(!letters(&platform, LAKSHMI).await[0].body.contains("Dear"), "which of them?");
    let token = &offered.body["choice_token"];
    let slip = choose(&anybody, token, &json!(nadi::ids::new_uuid())).await.expect(422);
    assert_eq!(slip.faults(), [("/user_id".to_owned(), "not_found".to_owned())]);
    let entered = choose(&anybody, token, &members[1]["user_id"]).await.expect(200);
    assert_eq!(entered.body["user"]["full_name"], "Meera Menon");
    as_in(&anybody, &entered).get("/auth/me").await.expect(200);
    let again = choose(&anybody, token, &members[0]["user_id"]).await.expect(401);
    assert_eq!(again.problem(), "otp-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_is_good_once_also_at_once_and_not_for_long() {
    let (platform, clinic) = TestClinic::new().await;
    daughter(&clinic).await;
    let anybody = clinic.anybody();
    let offered = sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);
    let (token, members) = (&offered.body["choice_token"], &offered.body["choose"]);

    let (a, b) = tokio::join!(
        choose(&anybody, token, &members[0]["user_id"]),
        choose(&anybody, token, &members[1]["user_id"])
    );

    let mut both = [a.status.as_u16(), b.status.as_u16()];
    both.sort();
    assert_eq!(both, [200, 401]);
    let offered = sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);
    pass(&clinic, "301 s").await;
    choose(&anybody, &offered.body["choice_token"], &members[0]["user_id"]).await.expect(401);
    choose(&anybody, &json!("nonsense"), &members[0]["user_id"]).await.expect(401);
    // One who is barred is not offered.
    let mut inside = clinic.connection().await;
    sqlx::query("update users set status = 'suspended' where full_name = 'Meera Menon'")
        .execute(&mut inside)
        .await
        .unwrap();
    let entered = sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);
    assert_eq!(entered.body["user"]["full_name"], "Lakshmi Menon");
}

async fn register(caller: &Caller, full_name: &str, phone: &str) -> Answer {
    caller.post("/auth/register", &json!({ "full_name": full_name, "phone": phone })).await
}

async fn registered(
    platform: &TestPlatform,
    caller: &Caller,
    full_name: &str,
    phone: &str,
) -> Answer {
    let before = letters(platform, phone).await.len();
    let asked = register(caller, full_name, phone).await.expect(202);
    let code = code(platform, phone, before + 1).await;
    guess(caller, &asked.body["request_id"], &code).await
}

const NEW: &str = "+919847077777";

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_a_patient_once_the_phone_is_proved() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let details = json!({
        "full_name": "Anjali Pillai", "phone": "98470 77777", "email": "anjali@mail.example",
        "date_of_birth": "1990-02-28", "gender": "female", "language": "ml",
    });

    let asked = anybody.post("/auth/register", &details).await.expect(202);
    let code = code(&platform, NEW, 1).await;
    assert_eq!(
        clinic.count("select count(*) from patients").await,
        2,
        "not before the phone is proved"
    );
    let entered = guess(&anybody, &asked.body["request_id"], &code).await.expect(200);

    assert_eq!(asked.body["expires_in"], 300);
    let patient = as_in(&anybody, &entered);
    let me = patient.get("/auth/me").await.expect(200);
    let path = format!("/patients/{}", me.body["patient_id"].as_str().unwrap());
    let record = patient.get(&path).await.expect(200);
    for (field, value) in details.as_object().unwrap() {
        let value = if field == "phone" { &json!(NEW) } else { value };
        assert_eq!(&record.body[field], value, "{field}");
    }
    assert!(
        !letters(&platform, NEW).await[0].body.contains("Anjali"),
        "nobody but us chooses our words"
    );
    let about = "select count(*) from audit_log where action = 'patient.registered' and about_id is not null";
    assert_eq!(clinic.count(about).await, 1);
    guess(&anybody, &asked.body["request_id"], &code).await.expect(401);
    let bad = anybody
        .post("/auth/register", &json!({ "phone": "12", "date_of_birth": "2999-01-01" }))
        .await
        .expect(422);
    let faults = [
        ("/full_name", "required"),
        ("/phone", "invalid_format"),
        ("/date_of_birth", "out_of_range"),
    ];
    assert_eq!(bad.faults(), faults.map(|(p, c)| (p.to_owned(), c.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_on_a_known_phone_is_the_same_patient_and_another_is_another() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    let same = registered(&platform, &anybody, "lakshmi  MENON", LAKSHMI).await.expect(200);
    let other = registered(&platform, &anybody, "Meera Menon", LAKSHMI).await.expect(200);

    assert_eq!(same.body["user"]["full_name"], "Lakshmi Menon");
    assert_eq!(other.body["user"]["full_name"], "Meera Menon");
    assert_eq!(clinic.count("select count(*) from patients").await, 3);
    let offered = sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);
    assert_eq!(offered.body["choose"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_sounds_the_same_on_a_known_phone_and_waits_like_asking() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    // Who asked for a code in vain may register at once.
    ask(&anybody, NEW).await.expect(202);

    let known = register(&anybody, "Somebody Else", LAKSHMI).await.expect(202);
    let unknown = register(&anybody, "Somebody Else", NEW).await.expect(202);
    let again = register(&anybody, "Another Name", NEW).await.expect(429);

    let keys = |answer: &Answer| {
        let headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        let body: Vec<String> = answer.body.as_object().unwrap().keys().cloned().collect();
        (headers, body, answer.body["resend_after"].clone())
    };
    assert_eq!(keys(&known), keys(&unknown));
    assert_eq!(again.problem(), "rate-limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_on_one_phone_is_another_request_and_the_same_one_twice_is_one_patient() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let first = register(&anybody, "Anjali Pillai", NEW).await.expect(202);
    let first_code = code(&platform, NEW, 1).await;
    pass(&clinic, "31 s").await;
    let other = register(&anybody, "Anjali Pillay", NEW).await.expect(202);
    let other_code = code(&platform, NEW, 2).await;
    assert_ne!(first.body["request_id"], other.body["request_id"]);

    let (a, b) = tokio::join!(
        guess(&anybody, &first.body["request_id"], &first_code),
        guess(&anybody, &other.body["request_id"], &other_code)
    );

    let names =
        [a.expect(200), b.expect(200)].map(|answer| answer.body["user"]["full_name"].clone());
    assert_eq!(names, ["Anjali Pillai", "Anjali Pillay"], "what was said with the code that came");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_does_not_come_back_under_the_same_phone() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let mut inside = clinic.connection().await;
    sqlx::query("update users set status = 'banned' where role = 'patient'")
        .execute(&mut inside)
        .await
        .unwrap();

    register(&anybody, "Lakshmi Menon", LAKSHMI).await.expect(202);
    pass(&clinic, "31 s").await;
    register(&anybody, "Somebody Else", LAKSHMI).await.expect(202);

    all_is_sent(&clinic).await;
    assert!(letters(&platform, LAKSHMI).await.is_empty());
}
