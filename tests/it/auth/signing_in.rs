//! Names and passwords, right and wrong.

use nadi::auth::Role;
use serde_json::{Value, json};

use super::{PASSWORD, log_in};
use crate::support::{Answer, Caller, Options, TestClinic, TestPlatform};

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
async fn a_network_has_one_count_and_each_name_its_own_whether_somebody_has_it_or_not() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    sqlx::query("update users set phone = '+919847022222' where role = 'doctor'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let anybody = clinic.anybody();
    // Ten wrong ones by one name, then by another name of the same account, if there is one.
    let answers = async |network: &str, first: &str, then: &str| {
        let mut statuses = Vec::new();
        for n in 0..11 {
            let name = if n < 10 { first } else { then };
            let asked = from(&anybody, &format!("2001:db8:{network}::{n}"), name, "wrong");
            statuses.push(anybody.send(asked).await.status.as_u16());
        }
        statuses
    };

    let by_phone = [
        answers("1:1", "doctor@shanti.example", "+919847022222").await,
        answers("1:2", "nobody@shanti.example", "+919847033333").await,
    ];
    let by_dots = [
        answers("2:1", "clinic_admin@shanti.example", "clinic_admİn@shanti.example").await,
        answers("2:2", "clinic_nobodi@shanti.example", "clinic_nobodİ@shanti.example").await,
    ];

    assert_eq!(by_phone[0], by_phone[1]);
    assert_eq!(by_phone[0], [401; 11], "each name is counted by itself");
    assert_eq!(by_dots[0], by_dots[1]);
    assert_eq!(by_dots[0][10], 429, "what finds the same counts as the same");
    let sign_in = async |address: &str| {
        let given = from(&anybody, address, "doctor@shanti.example", PASSWORD);
        anybody.send(given).await.status.as_u16()
    };
    assert_eq!(sign_in("2001:db8:1:1:ffff::1").await, 429);
    assert_eq!(sign_in("2001:db8:1:3::1").await, 200);
}
