//! Faults in a query, a header, a path or a cursor.

use reqwest::Method;
use serde_json::{Value, json};

use super::{faults, with_body};
use crate::support::{Answer, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn faults_outside_the_body_name_their_place() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let first = |answer: &Answer| answer.body["errors"][0].clone();

    for path in [
        "/patients?colour=blue",
        "/auth/me?colour=blue",
        "/auth/sessions?colour=",
        &format!("/patients/{}?colour=blue", clinic.patients[0]),
    ] {
        let answer = desk.get(path).await.expect(422);
        assert_eq!(answer.problem(), "invalid-input");
        let fault = first(&answer);
        assert_eq!(
            (&fault["in"], &fault["name"], &fault["code"]),
            (&json!("query"), &json!("colour"), &json!("unknown_field"))
        );
        assert!(fault.get("pointer").is_none(), "{fault}");
    }
    let answer = desk.get("/patients?limit=0&limit=3&search=x%00&colour=blue").await.expect(422);
    assert_eq!(
        answer.faults(),
        faults(&[
            ("search", "invalid_characters"),
            ("limit", "repeated"),
            ("colour", "unknown_field")
        ]),
    );
    for limit in ["0", "201", "-1", "ten", "1.5", "", "99999999999999999999"] {
        let answer = desk.get(&format!("/patients?limit={limit}")).await.expect(422);
        assert_eq!(answer.faults()[0].0, "limit", "{limit}");
    }
    let both = with_body(&desk, Method::POST, "/patients?colour=blue", "{\"shade\": 1}")
        .header("idempotency-key", "x".repeat(256));
    let answer = desk.send(both).await.expect(422);
    assert_eq!(
        answer.faults(),
        faults(&[
            ("Idempotency-Key", "invalid_format"),
            ("/full_name", "required"),
            ("/shade", "unknown_field"),
            ("colour", "unknown_field")
        ]),
    );
    assert_eq!(first(&answer)["in"], "header");
    desk.delete(&format!("/patients/{}?colour=blue", clinic.patients[1])).await.expect(422);
    desk.post("/auth/logout?colour=blue", &Value::Null).await.expect(422);
    desk.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_or_cursor_that_is_nonsense_names_nothing() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, owner) = (clinic.desk().await, platform.super_admin().await);

    for id in [
        "no-id",
        "%00",
        "%ff",
        "..%2f..",
        "0",
        "%F0%9F%98%80",
        "00000000-0000-0000-0000-000000000000",
    ] {
        desk.get(&format!("/patients/{id}")).await.expect(404);
        desk.get(&format!("/appointments/{id}")).await.expect(404);
        desk.get(&format!("/doctors/{id}/slots?from=2099-01-05&to=2099-01-06")).await.expect(404);
        owner.get(&format!("/clinics/{id}")).await.expect(404);
        owner.post(&format!("/clinics/{id}/suspend"), &Value::Null).await.expect(404);
    }
    use base64::Engine;
    let cursor = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    for path in [
        "/patients",
        "/patients?search=menon",
        "/patients?search=98470",
        "/appointments",
        "/clinics",
        "/clinic-admins",
    ] {
        let at_platform = path.starts_with("/clinic");
        let caller = if at_platform { &owner } else { &desk };
        let join = if path.contains('?') { '&' } else { '?' };
        for garbage in [
            "garbage".to_owned(),
            "%00".into(),
            "AAAA".into(),
            cursor("null"),
            cursor("{}"),
            cursor("[1]"),
            cursor("[[]]"),
            cursor("[1e30,\"x\"]"),
            cursor("\"\\u0000\""),
            cursor("17"),
            cursor("[\"-262000-01-01T00:00:00Z\",\"00000000-0000-0000-0000-000000000000\"]"),
        ] {
            let answer = caller.get(&format!("{path}{join}cursor={garbage}")).await;
            let refused = [400, 422].contains(&answer.status.as_u16());
            assert!(refused, "{path} {garbage}: {} {}", answer.status, answer.text);
        }
        caller.get(&format!("{path}{join}cursor=garbage")).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precondition_that_cannot_be_read_is_not_met() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let patient = format!("/patients/{}", clinic.patients[1]);
    let garbled = reqwest::header::HeaderValue::from_bytes(b"\"\xe9\"").unwrap();

    let delete = desk.request(reqwest::Method::DELETE, &patient).header("if-match", garbled);

    desk.send(delete).await.expect(412);
    desk.get(&patient).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_entry_of_a_list_is_named() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let doctor = json!({
        "full_name": "Dr. Many", "email": "many@shanti.example", "specialties": ["Shalya", "", "Kaya", 7],
        "languages": ["ml", "malayalam"], "capacity": "2",
    });

    let refused = admin.post("/doctors", &doctor).await.expect(422);

    let expected = faults(&[
        ("/specialties/1", "required"),
        ("/specialties/3", "wrong_type"),
        ("/languages/1", "invalid_format"),
        ("/capacity", "wrong_type"),
    ]);
    assert_eq!(refused.faults(), expected);
}
