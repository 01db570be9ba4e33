//! The board of a waiting room: tokens for whoever has its address, and nobody's name.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::time::timeout;

use super::{post, sits_now, step, text};
use crate::support::{Caller, TestClinic, until};

/// The token of the board's address.
async fn rotate(clinic: &TestClinic, admin: &Caller) -> String {
    let path = format!("/locations/{}/display/rotate", clinic.location);
    let url = text(&post(admin, &path).await.expect(200).body["url"]);
    assert!(url.contains("://shanti."), "{url}");
    url.rsplit('/').next().unwrap().to_owned()
}

async fn gone(anybody: &Caller, token: &str) {
    until("the old address leads nowhere", async || {
        anybody.get(&format!("/display/{token}")).await.status == 404
    })
    .await;
    anybody.send(anybody.raw(Method::GET, &format!("/display/{token}"))).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_shows_tokens_doctors_and_rooms_and_nobodys_name() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let (admin, desk, anybody) = (clinic.admin().await, clinic.desk().await, clinic.anybody());
    let token = rotate(&clinic, &admin).await;
    let mut visits = Vec::new();
    for patient in [
        clinic.patients[0],
        clinic.patients[1],
        clinic.another_patient().await,
        clinic.another_patient().await,
    ] {
        let here = json!({ "patient_id": patient, "doctor_id": clinic.doctor, "reason": "a rash" });
        visits.push(text(
            &desk.post("/queue/walk-ins", &here).await.expect(201).body["appointment_id"],
        ));
    }
    sqlx::query(
        "with room as (insert into resources (id, kind, name, location_id) values (gen_random_uuid(), 'room', 'Room <3>', $1) returning id)
         update appointments set resource_ids = array(select id from room)",
    )
    .bind(clinic.location)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    step(&admin, &visits[0], "start").await.expect(200);
    desk.post("/queue/call-next", &json!({ "doctor_id": clinic.doctor })).await.expect(200);

    let path = format!("/display/{token}");
    until("the board is of now", async || {
        let doctors = anybody.get(&path).await.expect(200).body["doctors"].clone();
        doctors[0]["called"][0]["token"] == 2 && doctors[0]["inside"][0]["token"] == 1
    })
    .await;

    let board = anybody.get(&path).await.expect(200);
    let doctor = &board.body["doctors"][0];
    assert_eq!((&doctor["next"], &doctor["waiting"]), (&json!([3, 4]), &json!(2)));
    assert_eq!(doctor["doctor_name"], "doctor of shanti");
    assert_eq!(doctor["called"][0], json!({ "token": 2, "room": "Room <3>", "calls": 1 }));
    let page = anybody.send(anybody.raw(Method::GET, &path)).await.expect(200);
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert!(page.text.contains("<b>2</b>") && page.text.contains("3 · 4"), "{}", page.text);
    assert!(
        page.text.contains("Room &lt;3&gt;") && !page.text.contains("Room <3>"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("://") && !page.text.contains("onclick"), "{}", page.text);
    assert!(page.text.split("<script").skip(1).all(|tag| tag.trim_start().starts_with("src=")));
    for asset in page.text.split('"').filter(|part| part.starts_with("/assets/")) {
        anybody.send(anybody.raw(Method::GET, asset)).await.expect(200);
    }
    for shown in [&board.text, &page.text] {
        for word in ["Lakshmi", "Prakash", "Meera", "rash"] {
            assert!(!shown.contains(word), "{word}: {shown}");
        }
        for id in visits.iter().cloned().chain(clinic.patients.map(|id| id.to_string())) {
            assert!(!shown.contains(&id), "{id}: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_good_until_it_is_changed_and_at_its_own_clinic_alone() {
    let (platform, clinic) = TestClinic::new().await;
    let elsewhere = platform.clinic("arogya").await;
    let (admin, desk, anybody) = (clinic.admin().await, clinic.desk().await, clinic.anybody());
    let at = format!("/locations/{}/display", clinic.location);
    assert_eq!(desk.get(&at).await.expect(200).body["url"], Value::Null, "there is none at first");

    let first = rotate(&clinic, &admin).await;
    anybody.get(&format!("/display/{first}")).await.expect(200);
    elsewhere.anybody().get(&format!("/display/{first}")).await.expect(404);
    let mut forged = first.clone();
    forged.replace_range(3..4, if &first[3..4] == "A" { "B" } else { "A" });
    for token in [forged.as_str(), "x", &first[1..], "%FF"] {
        anybody.get(&format!("/display/{token}")).await.expect(404);
        anybody.send(anybody.raw(Method::GET, &format!("/display/{token}"))).await.expect(404);
    }

    let second = rotate(&clinic, &admin).await;
    assert_ne!(first, second);
    gone(&anybody, &first).await;
    anybody.get(&format!("/display/{second}")).await.expect(200);
    let url = desk.get(&at).await.expect(200);
    assert!(text(&url.body["url"]).ends_with(&second));
    let stale = admin.request(Method::DELETE, &at).header("if-match", "\"1\"");
    admin.send(stale).await.expect(412);
    admin.delete(&at).await.expect(204);
    gone(&anybody, &second).await;
    assert_eq!(desk.get(&at).await.expect(200).body["url"], Value::Null);
    let third = rotate(&clinic, &admin).await;
    anybody.get(&format!("/display/{third}")).await.expect(200);
    gone(&anybody, &second).await;
    let written =
        "select count(*) from audit_log where action in ('display.rotated', 'display.closed')";
    assert_eq!(clinic.count(written).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_with_a_dead_address_is_answered_without_a_look() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, anybody) = (clinic.admin().await, clinic.anybody());
    let dead = format!("/display/{}", rotate(&clinic, &admin).await);
    rotate(&clinic, &admin).await;
    let mut inside = clinic.connection().await;
    let mut tx = inside.begin().await.unwrap();
    anybody.get(&dead).await.expect(404);

    sqlx::query("lock table displays").execute(&mut *tx).await.unwrap();

    let again = timeout(Duration::from_secs(5), anybody.get(&dead)).await;
    again.expect("nobody looks whether it is good again").expect(404);
}
