//! The queue: tokens, turns, walk-ins, and the board of a waiting room.

mod calling;
mod display;
mod midnight;
mod tokens;
mod walk_ins;

use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Caller, TestClinic};

/// A Monday.
const DAY: &str = "2099-01-05";

/// The doctor sits at every hour, where midnight is far away: so that somebody can walk in, and stays on one day.
async fn sits_now(clinic: &TestClinic) {
    let mut inside = clinic.connection().await;
    sqlx::query("update availability set starts_at = '00:00', ends_at = '24:00'")
        .execute(&mut inside)
        .await
        .unwrap();
    let is_day = (6..18).contains(&chrono::Timelike::hour(&Utc::now()));
    sqlx::query("update locations set time_zone = $1")
        .bind(if is_day { "UTC" } else { "Etc/GMT-12" })
        .execute(&mut inside)
        .await
        .unwrap();
}

/// A visit of a new patient on the day, so many quarters of an hour after nine.
async fn booked(clinic: &TestClinic, desk: &Caller, quarter: i64) -> String {
    let patient = clinic.another_patient().await;
    booked_by(clinic, desk, patient, quarter).await
}

async fn booked_by(clinic: &TestClinic, desk: &Caller, patient: Uuid, quarter: i64) -> String {
    let nine = format!("{DAY}T03:30:00Z").parse::<chrono::DateTime<Utc>>().unwrap();
    let at = nine + chrono::TimeDelta::minutes(15 * quarter);
    let mut visit = clinic.visit_of(patient, &nadi::time::show(at));
    visit["duration_minutes"] = json!(15);
    desk.post("/appointments", &visit).await.expect(201).id()
}

/// So many visits whose patients are here, in the order of their times; checked in in the opposite one.
async fn here(clinic: &TestClinic, desk: &Caller, count: i64) -> Vec<String> {
    let mut visits = Vec::new();
    for quarter in 0..count {
        visits.push(booked(clinic, desk, quarter).await);
    }
    for visit in visits.iter().rev() {
        step(desk, visit, "check-in").await.expect(200);
    }
    visits
}

async fn step(caller: &Caller, visit: &str, step: &str) -> Answer {
    post(caller, &format!("/appointments/{visit}/{step}")).await
}

/// Without a body.
async fn post(caller: &Caller, path: &str) -> Answer {
    caller.send(caller.request(Method::POST, path)).await
}

async fn call_next(clinic: &TestClinic, caller: &Caller) -> Answer {
    let whose = json!({ "doctor_id": clinic.doctor, "date": DAY });
    caller.post("/queue/call-next", &whose).await
}

/// The appointments of those who wait, in turn.
async fn in_turn(caller: &Caller) -> Vec<String> {
    let queue = caller.get(&format!("/queue?date={DAY}")).await.expect(200);
    let items = queue.body["items"].as_array().unwrap().iter();
    let waiting = items.filter(|item| !item["place"].is_null());
    waiting.map(|item| text(&item["appointment_id"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
