//! Tokens: one for each who comes, from 1, kept for the day; and who waits how long, in which order.

use nadi::auth::Role;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{DAY, booked, booked_by, here, in_turn, post, step, text};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_come_at_once_get_one_to_twenty() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut coming = JoinSet::new();
    for quarter in 0..20 {
        let (desk, visit) = (desk.clone(), booked(&clinic, &desk, quarter).await);
        coming.spawn(async move { step(&desk, &visit, "check-in").await.expect(200).body });
    }

    let here = coming.join_all().await;

    let mut tokens: Vec<i64> = here.iter().map(|visit| visit["token"].as_i64().unwrap()).collect();
    tokens.sort();
    assert_eq!(tokens, (1..=20).collect::<Vec<_>>());
    let joined = "select count(*) from live_events where kind = 'queue.joined'";
    assert_eq!(clinic.count(joined).await, 20);
    assert_eq!(in_turn(&desk).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_kept_for_the_day_and_never_given_again() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let (first, second) = (booked(&clinic, &desk, 0).await, booked(&clinic, &desk, 1).await);
    let token = async |visit: &str| {
        step(&desk, visit, "check-in").await.expect(200).body["token"].as_i64().unwrap()
    };
    assert_eq!((token(&first).await, token(&second).await), (1, 2));

    for visit in [&first, &second] {
        let wrong = json!({ "reason": "a wrong click" });
        desk.post(&format!("/appointments/{visit}/reopen"), &wrong).await.expect(200);
    }
    assert!(in_turn(&desk).await.is_empty(), "who is not here does not wait");
    let third = booked(&clinic, &desk, 2).await;
    assert_eq!((token(&second).await, token(&third).await), (2, 3));
    step(&desk, &third, "no-show").await.expect(200);
    let fourth = booked(&clinic, &desk, 3).await;
    assert_eq!(token(&fourth).await, 4, "a number is not used again");

    // Moved to another day it is in another queue.
    let path = format!("/appointments/{first}");
    let mut visit = desk.get(&path).await.expect(200).body;
    visit["starts_at"] = json!("2099-01-06T04:30:00Z");
    for member in ["token", "ends_at", "status", "checked_in_at", "updated_at"] {
        visit.as_object_mut().unwrap().remove(member);
    }
    let moved = desk.put(&path, "*", &visit).await.expect(200);
    assert_eq!(moved.body["token"], Value::Null);
    assert_eq!(token(&first).await, 1);
    let there = desk.get("/queue?date=2099-01-06").await.expect(200);
    assert_eq!(there.body["items"][0]["token"], 1);
    assert_eq!(there.body["items"].as_array().unwrap().len(), 1);
    let all = "select count(*) from queue_tokens";
    assert_eq!(clinic.count(all).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_at_the_clinic_for_a_home_visit() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut visit = clinic.visit("2099-01-05T04:30:00Z");
    visit["kind"] = json!("home_visit");
    visit["address"] = json!("4 Beach Road");
    let visit = desk.post("/appointments", &visit).await.expect(201).id();

    let here = step(&desk, &visit, "check-in").await.expect(200);

    assert_eq!(here.body["token"], Value::Null);
    let answer = post(&desk, &format!("/queue/{visit}/skip")).await.expect(409);
    assert_eq!(answer.problem(), "not-waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_see_whose_turn_it_is_and_why() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let old = clinic.another_patient().await;
    sqlx::query("update patients set date_of_birth = '2034-01-05' where id = $1")
        .bind(old)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let in_time = booked(&clinic, &desk, 4).await;
    let elderly = booked_by(&clinic, &desk, old, 5).await;
    let later = booked(&clinic, &desk, 7).await;
    let urgent = booked(&clinic, &desk, 9).await;
    for visit in [&later, &urgent, &in_time, &elderly] {
        step(&desk, visit, "check-in").await.expect(200);
    }

    // 65 on this very day: a quarter of an hour earlier, which is the other's time; who came first goes first.
    assert_eq!(in_turn(&desk).await, [&in_time, &elderly, &later, &urgent].map(String::clone));
    let rank = json!({ "priority": "emergency" });
    let ranked = desk.post(&format!("/queue/{urgent}/priority"), &rank).await.expect(200);
    assert_eq!((&ranked.body["place"], &ranked.body["goes_by"]), (&json!(1), &json!("emergency")));
    let rank = json!({ "priority": "none" });
    desk.post(&format!("/queue/{elderly}/priority"), &rank).await.expect(200);

    assert_eq!(in_turn(&desk).await, [&urgent, &in_time, &elderly, &later].map(String::clone));
    let queue = desk.get(&format!("/queue?date={DAY}&doctor_id={}", clinic.doctor)).await;
    let second = &queue.expect(200).body["items"][1];
    assert_eq!(second["goes_by"], "appointment_time");
    assert_eq!(second["due_at"], "2099-01-05T04:30:00Z");
    let elsewhere = nadi::ids::new_uuid();
    let none = desk.get(&format!("/queue?date={DAY}&doctor_id={elsewhere}")).await.expect(200);
    assert_eq!(none.body["items"], json!([]));
    let ranked = "select count(*) from audit_log where action = 'queue.ranked'";
    assert_eq!(clinic.count(ranked).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_learnt_from_the_doctors_own_consultations() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 4).await;
    let waits = async || {
        let queue = desk.get(&format!("/queue?date={DAY}")).await.expect(200);
        let items = queue.body["items"].as_array().unwrap().clone();
        let wait = |item: &Value| {
            let minutes = |name: &str| item["wait"][name].as_i64().unwrap();
            (minutes("from_minutes"), minutes("to_minutes"))
        };
        items.iter().filter(|item| !item["wait"].is_null()).map(wait).collect::<Vec<_>>()
    };
    assert_eq!(waits().await, [(0, 0), (30, 30), (60, 60), (90, 90)], "slots of half an hour");

    // Four of ten minutes, four of twenty; and what is left out: wrong clicks, and a long time ago.
    sqlx::query(
        "insert into appointments (id, patient_id, doctor_id, location_id, kind, status, during, started_at, completed_at)
         select gen_random_uuid(), $1, $2, $3, 'in_person', 'completed', tstzrange(at, at + interval '30 minutes'),
                at, at + make_interval(secs => seconds)
         from (select now() - make_interval(days => days) as at, seconds
               from (values (1, 600), (2, 600), (3, 600), (4, 600), (5, 1200), (6, 1200), (7, 1200), (8, 1200),
                            (9, 5), (10, 90000), (200, 60), (201, 60), (202, 60), (203, 60), (204, 60)) as v (days, seconds)) as past",
    )
    .bind(clinic.patients[1])
    .bind(clinic.doctor)
    .bind(clinic.location)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    assert_eq!(waits().await, [(0, 0), (10, 20), (20, 40), (30, 60)]);

    step(&doctor, &visits[0], "start").await.expect(200);
    let after_start = waits().await;
    assert_eq!(after_start.len(), 3, "who is inside does not wait");
    assert!((9..=10).contains(&after_start[0].0) && after_start[0].1 == 20, "{after_start:?}");
    assert!((29..=30).contains(&after_start[2].0) && after_start[2].1 == 60, "{after_start:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_the_own_token_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    here(&clinic, &desk, 3).await;
    let own = booked_by(&clinic, &desk, clinic.patients[0], 8).await;
    step(&desk, &own, "check-in").await.expect(200);

    let queue = patient.get(&format!("/queue?date={DAY}")).await.expect(200);

    let items = queue.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{}", queue.text);
    assert_eq!((text(&items[0]["appointment_id"]), &items[0]["place"]), (own, &json!(4)));
    assert_eq!((&items[0]["token"], &items[0]["wait"]["to_minutes"]), (&json!(4), &json!(90)));
    assert!(!queue.text.contains("Meera"), "nobody else is in it");
}
