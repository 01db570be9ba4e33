//! Links in messages: they show, a button there acts, and nobody makes one up.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestClinic, TestPlatform, until};

const TEN: &str = "2099-01-05T04:30:00Z";
const NOON: &str = "2099-01-05T06:30:00Z";

/// Books, and gives the visit's path and the link's token, as the e-mail brought it.
async fn booked(platform: &TestPlatform, clinic: &TestClinic, at: &str) -> (String, String) {
    let email =
        json!({ "policies": { "appointment": { "channels": ["email"], "accept_seconds": 30 } } });
    clinic.admin().await.put("/settings/messaging", "*", &email).await.expect(200);
    let visit = clinic.desk().await.post("/appointments", &clinic.visit(at)).await.expect(201);
    let number = visit.body["number"].as_str().unwrap().to_owned();
    (format!("/appointments/{}", visit.id()), token(platform, &number, "is booked").await)
}

/// The token of the newest message about a visit.
async fn token(platform: &TestPlatform, number: &str, about: &str) -> String {
    let inbox = &platform.inbox;
    let found = async || {
        let items = inbox.items().await.unwrap();
        let item = items
            .into_iter()
            .find(|item| item.body.contains(number) && item.subject.contains(about))?;
        let (_, rest) = item.body.split_once("/respond/")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    until("the message is there", async || found().await.is_some()).await;
    found().await.unwrap()
}

/// The same with another letter in the middle, where the visit's id is.
fn another_visits(token: &str) -> String {
    let letter = if token.as_bytes()[12] == b'A' { "B" } else { "A" };
    format!("{}{letter}{}", &token[..12], &token[13..])
}

async fn post(anybody: &Caller, token: &str, action: &str) -> Answer {
    anybody.post(&format!("/respond/{token}"), &json!({ "action": action })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_and_only_a_button_there_acts() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = booked(&platform, &clinic, TEN).await;

    for _ in 0..3 {
        let shown = anybody.get(&format!("/respond/{token}")).await.expect(200);
        assert_eq!(shown.body["status"], "booked");
        assert_eq!(shown.body["actions"], json!(["confirm", "cancel"]));
        assert_eq!(
            (&shown.body["starts_at"], &shown.body["time_zone"]),
            (&json!(TEN), &json!("Asia/Kolkata"))
        );
        assert!(!shown.text.contains("Lakshmi"), "it names nobody: {}", shown.text);
        let page =
            anybody.send(anybody.raw(Method::GET, &format!("/respond/{token}"))).await.expect(200);
        assert!(
            page.text.contains("Monday, 5 January 2099, 10:00 (Asia/Kolkata)"),
            "{}",
            page.text
        );
        assert!(page.text.contains("<form method=\"post\">") && !page.text.contains("<script"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("form-action 'self'") && !policy.contains("unsafe-inline"));
    }
    assert_eq!(desk.get(&path).await.body["status"], "booked", "looking changes nothing");

    let confirmed = post(&anybody, &token, "confirm").await.expect(200);
    assert_eq!(
        (&confirmed.body["status"], &confirmed.body["actions"]),
        (&json!("confirmed"), &json!(["cancel"]))
    );
    post(&anybody, &token, "confirm").await.expect(200);
    let form = anybody
        .raw(Method::POST, &format!("/respond/{token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("action=cancel");
    let page = anybody.send(form).await.expect(200);
    assert!(page.text.contains("Your appointment is cancelled"), "{}", page.text);
    post(&anybody, &token, "cancel").await.expect(200);
    assert_eq!(desk.get(&path).await.body["status"], "cancelled");
    let late = post(&anybody, &token, "confirm").await.expect(409);
    assert_eq!((late.problem(), &late.body["from"]), ("illegal-transition", &json!("cancelled")));
    let shown = anybody.get(&format!("/respond/{token}")).await.expect(200);
    assert_eq!((&shown.body["status"], &shown.body["actions"]), (&json!("cancelled"), &json!([])));

    let past = desk.get(&format!("{path}/history")).await.expect(200);
    let by: Vec<(&Value, &Value)> = past.body["items"].as_array().unwrap()[1..]
        .iter()
        .map(|item| (&item["what"], &item["role"]))
        .collect();
    assert_eq!(
        by,
        [(&json!("confirmed"), &json!("patient")), (&json!("cancelled"), &json!("patient"))]
    );
    let shown = "select count(*) from audit_log where action = 'appointment.read' and role = 'patient' and account_id is null";
    until("the looks are on record", async || clinic.count(shown).await >= 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_its_own_time_at_its_own_clinic_alone() {
    let (platform, clinic) = TestClinic::new().await;
    let other = platform.clinic("arogya").await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = booked(&platform, &clinic, TEN).await;
    let mut tampered = token.clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == 'A' { 'B' } else { 'A' });
    for (caller, token) in [
        (&other.anybody(), token.as_str()),
        (&anybody, &another_visits(&token)),
        (&anybody, &tampered),
        (&anybody, "nothing"),
    ] {
        let found = caller.get(&format!("/respond/{token}")).await;
        // The last letter of a token has bits that say nothing.
        if token != tampered || found.status != 200 {
            assert_eq!(found.expect(404).problem(), "not-found", "{token}");
            post(caller, token, "cancel").await.expect(404);
        }
    }
    let odd =
        anybody.post(&format!("/respond/{token}"), &json!({ "action": "ask" })).await.expect(422);
    assert_eq!(odd.faults(), [("/action".to_owned(), "unknown_value".to_owned())]);

    let moved = desk.put(&path, "*", &clinic.visit(NOON)).await.expect(200);
    for answer in
        [anybody.get(&format!("/respond/{token}")).await, post(&anybody, &token, "confirm").await]
    {
        assert_eq!(
            answer.expect(410).problem(),
            "link-outdated",
            "who said yes to ten has not said yes to noon"
        );
    }
    let page =
        anybody.send(anybody.raw(Method::GET, &format!("/respond/{token}"))).await.expect(410);
    assert!(page.text.contains("has moved"), "{}", page.text);
    assert_eq!(desk.get(&path).await.body["status"], "booked");
    let number = moved.body["number"].as_str().unwrap();
    let newer = self::token(&platform, number, "has moved").await;
    post(&anybody, &newer, "confirm").await.expect(200);

    platform.clock.advance(chrono::TimeDelta::days(365 * 80));
    assert_eq!(post(&anybody, &newer, "cancel").await.expect(410).problem(), "link-expired");
    assert_eq!(
        anybody.get(&format!("/respond/{newer}")).await.expect(410).problem(),
        "link-expired"
    );
    assert_eq!(
        clinic.count("select count(*) from appointments where status = 'confirmed'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_pressed_while_the_desk_acts_ends_in_one_state() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, anybody) = (clinic.desk().await, clinic.anybody());
    let (path, token) = booked(&platform, &clinic, TEN).await;
    let check_in = desk.request(Method::POST, &format!("{path}/check-in"));

    let (a, b, here) = tokio::join!(
        post(&anybody, &token, "cancel"),
        post(&anybody, &token, "cancel"),
        desk.send(check_in)
    );

    let stands = desk.get(&path).await.body["status"].clone();
    match here.status.as_u16() {
        200 => {
            assert_eq!(stands, "checked_in", "who is here does not cancel from afar");
            assert_eq!((a.status.as_u16(), b.status.as_u16()), (409, 409), "{} {}", a.text, b.text);
        }
        _ => {
            assert_eq!((here.status.as_u16(), stands), (409, json!("cancelled")));
            assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200), "{} {}", a.text, b.text);
        }
    }
    let lines = "select count(*) from appointment_changes";
    assert_eq!(clinic.count(lines).await, 2);
}
