//! A doctor who sits until midnight: hours end at `24:00`, and the last visit ends with the day.

use serde_json::{Value, json};

use crate::support::TestClinic;

const DAY: &str = "from=2099-01-05&to=2099-01-06"; // a Monday

fn line(location: &str, starts_at: &str, ends_at: &str, breaks: Value) -> Value {
    json!({
        "location_id": location, "weekday": 1, "starts_at": starts_at, "ends_at": ends_at,
        "breaks": breaks,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_until_midnight_are_kept_shown_and_booked_to_their_end() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let here = clinic.location.to_string();
    let path = format!("/doctors/{}/availability", clinic.doctor);
    let pause = json!([{ "starts_at": "22:00", "ends_at": "23:00" }]);
    let late = line(&here, "21:00", "24:00", pause);

    let stored = admin.put(&path, "*", &json!({ "items": [late] })).await.expect(200);
    let read = admin.get(&path).await.expect(200);

    for shown in [&stored.body["items"][0], &read.body["items"][0]] {
        assert_eq!((&shown["starts_at"], &shown["ends_at"]), (&json!("21:00"), &json!("24:00")));
        assert_eq!(shown["breaks"], json!([{ "starts_at": "22:00", "ends_at": "23:00" }]));
    }
    admin.put(&path, read.header("etag"), &read.body).await.expect(200);

    // 21:00, 21:30, 23:00 and 23:30 in Kolkata.
    let slots = desk.get(&format!("/doctors/{}/slots?{DAY}", clinic.doctor)).await.expect(200);
    let starts: Vec<_> = slots.body["items"].as_array().unwrap().iter().collect();
    let starts: Vec<_> = starts.iter().map(|slot| slot["starts_at"].as_str().unwrap()).collect();
    let expected = ["15:30", "16:00", "17:30", "18:00"].map(|at| format!("2099-01-05T{at}:00Z"));
    assert_eq!(starts, expected);
    desk.post("/appointments", &clinic.visit("2099-01-05T18:00:00Z")).await.expect(201);
    let beyond =
        desk.post("/appointments", &clinic.visit("2099-01-05T18:15:00Z")).await.expect(422);
    assert_eq!(beyond.faults(), [("/starts_at".into(), "outside_hours".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_at_the_end_of_the_day_and_nothing_lasts_longer() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let here = clinic.location.to_string();
    let path = format!("/doctors/{}/availability", clinic.doctor);
    let wrong = json!({ "items": [
        line(&here, "24:00", "24:00", json!([])),
        line(&here, "20:00", "24:01", json!([])),
        line(&here, "20:00", "24:00", json!([{ "starts_at": "24:00", "ends_at": "24:00" }])),
    ]});

    let refused = admin.put(&path, "*", &wrong).await.expect(422);

    let faults = refused.faults();
    for fault in [
        ("/items/0/starts_at", "out_of_range"),
        ("/items/1/ends_at", "invalid_format"),
        ("/items/2/breaks/0/starts_at", "out_of_range"),
    ] {
        assert!(faults.contains(&(fault.0.into(), fault.1.into())), "{fault:?} in {faults:?}");
    }
}
