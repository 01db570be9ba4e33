//! The door of a video visit.

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use nadi::time::show;
use serde_json::{Value, json};

use super::set_rules;
use crate::support::TestClinic;

/// The doctor sits at every hour, where midnight is far away.
async fn sits_now(clinic: &TestClinic, now: DateTime<Utc>) {
    let zone = if (6..18).contains(&now.hour()) { "UTC" } else { "Etc/GMT-12" };
    let mut inside = clinic.connection().await;
    for sql in [
        "update availability set starts_at = '00:00', ends_at = '24:00'".to_owned(),
        format!("update locations set time_zone = '{zone}'"),
    ] {
        nadi::tenancy::roles::execute(&mut inside, sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_opens_shortly_before_the_visit_to_those_who_may_see_it() {
    let (platform, clinic) = TestClinic::new().await;
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    sits_now(&clinic, now).await;
    set_rules(&clinic, json!({ "video_base_url": "https://meet.example/c" })).await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let at = |minutes| show(now + TimeDelta::minutes(minutes));
    let video = |patient, minutes| {
        let mut visit = clinic.visit_of(patient, &at(minutes));
        visit["kind"] = json!("video");
        visit
    };
    let mine = desk.post("/appointments", &video(clinic.patients[0], 40)).await.expect(201);
    let other = desk.post("/appointments", &video(clinic.patients[1], 70)).await.expect(201);
    let in_person = desk.post("/appointments", &clinic.visit(&at(100))).await.expect(201);
    let path = format!("/appointments/{}", mine.id());
    let early = patient.get(&path).await.expect(200);
    assert_eq!(early.body["join_url"], Value::Null);

    platform.clock.advance(TimeDelta::minutes(30));
    let (desk, patient) = (clinic.desk().await, clinic.patient().await); // a token lives for less

    let open = patient.get(&path).await.expect(200);
    let link = open.body["join_url"].as_str().unwrap().to_owned();
    let room = link.strip_prefix("https://meet.example/c/").unwrap();
    assert_eq!((room.len(), room.contains(&mine.id()[..8])), (32, false), "{link}");
    let listed = desk.get(&format!("/appointments?doctor_id={}", clinic.doctor)).await.expect(200);
    let links: Vec<_> =
        listed.body["items"].as_array().unwrap().iter().map(|visit| &visit["join_url"]).collect();
    assert_eq!(links, [&json!(link), &Value::Null, &Value::Null]);
    patient.get(&format!("/appointments/{}", other.id())).await.expect(404);
    let mut same = early.body.clone();
    same["reason"] = json!("cough");
    let changed = desk.put(&path, early.header("etag"), &same).await.expect(200);
    assert_eq!(changed.body["reason"], "cough", "a link that was not there yet is no change");

    platform.clock.advance(TimeDelta::minutes(35));
    let desk = clinic.desk().await;

    let rooms =
        async |id: String| desk.get(&format!("/appointments/{id}")).await.body["join_url"].clone();
    assert_eq!(rooms(mine.id()).await.as_str(), Some(link.as_str()), "until its end");
    let theirs = rooms(other.id()).await;
    assert!(theirs.is_string() && theirs != json!(link));
    assert_eq!(rooms(in_person.id()).await, Value::Null);

    platform.clock.advance(TimeDelta::minutes(6));
    let desk = clinic.desk().await;

    assert_eq!(rooms(mine.id()).await, Value::Null, "it is over");
    desk.delete(&format!("/appointments/{}", other.id())).await.expect(200);
    assert_eq!(rooms(other.id()).await, Value::Null, "it was cancelled");
    set_rules(&clinic, json!({})).await;
    assert_eq!(rooms(in_person.id()).await, Value::Null);
}
