//! Midnight in a waiting room: the day is another, and those who wait are the same.

use chrono::{Timelike, Utc};
use nadi::auth::Role;
use serde_json::{Value, json};
use sqlx::Connection;

use super::{post, step, text};
use crate::support::{Caller, TestClinic};

/// It is past midnight at the location, by less than an hour, and the doctor sits at every hour.
async fn is_past_midnight(clinic: &TestClinic) {
    let mut inside = clinic.connection().await;
    sqlx::query("update availability set starts_at = '00:00', ends_at = '24:00'")
        .execute(&mut inside)
        .await
        .unwrap();
    let hour = Utc::now().hour();
    let zone =
        if hour <= 12 { format!("Etc/GMT+{hour}") } else { format!("Etc/GMT-{}", 24 - hour) };
    sqlx::query("update locations set time_zone = $1")
        .bind(zone)
        .execute(&mut inside)
        .await
        .unwrap();
}

/// Who walked in just now came so many hours ago.
async fn came_hours_ago(clinic: &TestClinic, visit: &str, hours: i32) {
    let mut inside = clinic.connection().await;
    let mut tx = inside.begin().await.unwrap();
    for sql in [
        "update appointments set during = tstzrange(lower(during) - make_interval(hours => $2),
                                                    upper(during) - make_interval(hours => $2)),
                                 checked_in_at = checked_in_at - make_interval(hours => $2)
         where id = $1::uuid",
        "update queue_tokens t set day = (lower(a.during) at time zone l.time_zone)::date
         from appointments a join locations l on l.id = a.location_id
         where $2 > 0 and a.id = $1::uuid and t.appointment_id = a.id",
    ] {
        sqlx::query(sql).bind(visit).bind(hours).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn walks_in(clinic: &TestClinic, desk: &Caller) -> String {
    let here = json!({ "patient_id": clinic.another_patient().await, "doctor_id": clinic.doctor });
    text(&desk.post("/queue/walk-ins", &here).await.expect(201).body["appointment_id"])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_midnight_waits_on_and_is_called_first() {
    let (_platform, clinic) = TestClinic::new().await;
    is_past_midnight(&clinic).await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let mut visits = Vec::new();
    for _ in 0..5 {
        visits.push(walks_in(&clinic, &desk).await);
    }
    let [waits, inside, seen, forgotten, new] =
        [0, 1, 2, 3, 4].map(|nth: usize| visits[nth].clone());
    for (visit, hours) in [(&waits, 2), (&inside, 3), (&seen, 4), (&forgotten, 14)] {
        came_hours_ago(&clinic, visit, hours).await;
    }
    step(&doctor, &seen, "start").await.expect(200);
    step(&doctor, &seen, "complete").await.expect(200);
    step(&doctor, &inside, "start").await.expect(200);
    let queue = async |query: &str| -> Vec<String> {
        let queue = desk.get(&format!("/queue{query}")).await.expect(200);
        let items = queue.body["items"].as_array().unwrap();
        items.iter().map(|item| text(&item["appointment_id"])).collect()
    };

    assert_eq!(queue("").await, [inside.clone(), waits.clone(), new.clone()]);
    let today = text(&desk.get("/queue").await.expect(200).body["items"][2]["day"]);
    assert_eq!(queue(&format!("?date={today}")).await, visits[4..], "a day is that day alone");

    let admin = clinic.admin().await;
    let path = format!("/locations/{}/display/rotate", clinic.location);
    let url = text(&post(&admin, &path).await.expect(200).body["url"]);
    let board = url.split_once("/display/").unwrap().1;
    let board = clinic.anybody().get(&format!("/display/{board}")).await.expect(200).body;
    let of_doctor = |nth: usize, member: &str| board["doctors"][nth][member].clone();
    assert_eq!(board["doctors"].as_array().unwrap().len(), 2, "numbers of two days: {board}");
    assert_eq!(of_doctor(0, "inside"), json!([{ "token": 2, "room": Value::Null, "calls": 0 }]));
    assert_eq!((of_doctor(0, "next"), of_doctor(1, "next")), (json!([1]), json!([5])));

    let whose = json!({ "doctor_id": clinic.doctor });
    for (expected, waiting) in [(&waits, 1), (&new, 0)] {
        let called = desk.post("/queue/call-next", &whose).await.expect(200).body;
        assert_eq!(text(&called["called"]["appointment_id"]), *expected);
        assert_eq!(called["waiting"], waiting);
        step(&doctor, expected, "start").await.expect(200);
    }
}
