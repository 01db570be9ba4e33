//! The waitlist: who waits, whom a freed time is offered to, and what comes of it.

mod answers;
mod joining;
mod offers;
mod races;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Caller, TestClinic, TestPlatform, until};

/// A Monday.
const TEN: &str = "2099-01-05T04:30:00Z";
const HALF_PAST: &str = "2099-01-05T05:00:00Z";

/// Enters somebody, and gives the entry's path.
async fn waits(clinic: &TestClinic, desk: &Caller, patient: Uuid, how: Value) -> String {
    let mut body = json!({ "patient_id": patient, "doctor_id": clinic.doctor });
    for (name, value) in how.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    format!("/waitlist/{}", desk.post("/waitlist", &body).await.expect(201).id())
}

/// A visit of the second patient, which others would like to have.
async fn taken(clinic: &TestClinic, desk: &Caller, at: &str) -> String {
    let visit = desk.post("/appointments", &clinic.visit_of(clinic.patients[1], at)).await;
    format!("/appointments/{}", visit.expect(201).id())
}

/// Another doctor who sits when the first one does.
async fn another_doctor(clinic: &TestClinic) -> Uuid {
    let id = nadi::ids::new_uuid();
    for statement in [
        "insert into users (id, role, full_name, email) select $1, 'doctor', 'Dr. Sunita Rao', 'rao@clinic.example' where $2::uuid is not null",
        "insert into doctors (id, slot_minutes) select $1, slot_minutes from doctors where id = $2",
        "insert into availability (id, doctor_id, location_id, weekday, starts_at, ends_at)
         select gen_random_uuid(), $1, location_id, weekday, starts_at, ends_at from availability where doctor_id = $2",
    ] {
        let query = sqlx::query(statement).bind(id).bind(clinic.doctor);
        query.execute(&mut clinic.connection().await).await.unwrap();
    }
    id
}

async fn run(clinic: &TestClinic, statement: &'static str) {
    sqlx::query(statement).execute(&mut clinic.connection().await).await.unwrap();
}

/// Nobody looks any more whom to offer a freed time to.
async fn until_looked(clinic: &TestClinic) {
    let left = "select count(*) from outbox where purpose = 'chore.time_freed' and done_at is null";
    until("freed times were looked at", async || clinic.count(left).await == 0).await;
}

async fn entry(desk: &Caller, path: &str) -> Value {
    desk.get(path).await.expect(200).body
}

async fn status(desk: &Caller, path: &str) -> String {
    entry(desk, path).await["status"].as_str().unwrap().to_owned()
}

/// The starts that are to be had on the Monday.
async fn slots(clinic: &TestClinic, desk: &Caller) -> Vec<String> {
    let path = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06", clinic.doctor);
    let found = desk.get(&path).await.expect(200).body["items"].as_array().unwrap().clone();
    found.iter().map(|slot| slot["starts_at"].as_str().unwrap().to_owned()).collect()
}

async fn accept(caller: &Caller, path: &str) -> Answer {
    caller.send(caller.request(reqwest::Method::POST, &format!("{path}/accept"))).await
}

async fn decline(caller: &Caller, path: &str) -> Answer {
    caller.send(caller.request(reqwest::Method::POST, &format!("{path}/decline"))).await
}

/// The offers that are open run out.
async fn let_offers_lapse(platform: &TestPlatform, clinic: &TestClinic) {
    for statement in [
        "update waitlist_offers set until = now() - interval '1 s' where status = 'open'",
        "update claims set hold_until = now() - interval '1 s' where hold_id is not null",
    ] {
        sqlx::query(statement).execute(&mut clinic.connection().await).await.unwrap();
    }
    clinic.let_it_be_due(platform, "chore.offer_lapsed").await;
    let open = "select count(*) from waitlist_offers where status = 'open' and until <= now()";
    until("they have lapsed", async || clinic.count(open).await == 0).await;
}
