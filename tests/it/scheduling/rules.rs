//! The clinic's rules of scheduling.

use chrono::{Days, Utc};
use serde_json::{Value, json};

use super::{HALF_PAST, TEN, faults, set_rules, slots};
use crate::support::{Caller, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_read_replaced_and_on_record() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let before = admin.get("/settings/scheduling").await.expect(200);
    assert_eq!(before.body["reminder_minutes"], json!([1440, 120]));
    assert_eq!(before.body["horizon_days"], Value::Null);

    let new = json!({
        "lead_minutes": 60, "horizon_days": 30, "max_per_day": 20, "late_cancel_minutes": 240,
        "no_show_after_minutes": 30, "hold_minutes": 15, "reminder_minutes": [60, 2880], "travel_minutes": 20,
        "video_base_url": "https://Meet.example/clinic/", "video_opens_minutes": 10,
        "kinds": { "video": { "slot_minutes": 10, "buffer_after_minutes": 5 } },
    });
    let put = admin.put("/settings/scheduling", before.header("etag"), &new).await.expect(200);
    assert_eq!(put.body["reminder_minutes"], json!([2880, 60]), "the earliest first");
    assert_eq!(put.body["video_base_url"], "https://meet.example/clinic");
    let video =
        json!({ "slot_minutes": 10, "buffer_before_minutes": 0, "buffer_after_minutes": 5 });
    assert_eq!(put.body["kinds"]["video"], video);
    assert_eq!(put.body["kinds"]["in_person"]["slot_minutes"], Value::Null);
    let read = admin.get("/settings/scheduling").await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&put.body, put.header("etag")));
    admin.put("/settings/scheduling", before.header("etag"), &new).await.expect(412);
    let again = admin.put("/settings/scheduling", put.header("etag"), &read.body).await.expect(200);
    assert_eq!(again.body["kinds"], read.body["kinds"], "what was read can be sent back");
    clinic.desk().await.put("/settings/scheduling", "*", &new).await.expect(403);
    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'scheduling.configured'").await,
        2
    );

    let bad = json!({
        "lead_minutes": -1, "horizon_days": 0, "reminder_minutes": [5, 60, 60], "video_base_url": "http://meet.example",
        "kinds": { "video": { "slot_minutes": 3 }, "telepathy": {} }, "colour": "blue",
    });
    let refused = admin.put("/settings/scheduling", "*", &bad).await.expect(422);
    let expected = faults([
        ("/reminder_minutes/0", "out_of_range"),
        ("/lead_minutes", "out_of_range"),
        ("/horizon_days", "out_of_range"),
        ("/video_base_url", "invalid_format"),
        ("/kinds/video/slot_minutes", "out_of_range"),
        ("/kinds/telepathy", "unknown_field"),
        ("/colour", "unknown_field"),
    ]);
    assert_eq!(refused.faults(), expected);
    let twice =
        admin.put("/settings/scheduling", "*", &json!({ "reminder_minutes": [60, 60] })).await;
    assert_eq!(twice.expect(422).faults(), faults([("/reminder_minutes", "repeated")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_book_within_lead_and_horizon_and_staff_when_they_like() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    set_rules(&clinic, json!({ "lead_minutes": 28_800, "horizon_days": 22 })).await; // twenty days
    let today = Utc::now().with_timezone(&chrono_tz::Asia::Kolkata).date_naive();
    let ten = |days: u64| format!("{}T04:30:00Z", today + Days::new(days));
    let own = |days| clinic.visit(&ten(days));

    for (days, code) in [(19, "too_soon"), (23, "too_far")] {
        let refused = patient.post("/appointments", &own(days)).await.expect(422);
        assert_eq!(refused.faults(), faults([("/starts_at", code)]), "{days} days ahead");
        desk.post("/appointments", &own(days)).await.expect(201);
    }
    let path = |from: u64, to: u64| {
        format!(
            "/doctors/{}/slots?from={}&to={}",
            clinic.doctor,
            today + Days::new(from),
            today + Days::new(to)
        )
    };
    let free = async |caller: &Caller, from, to| {
        caller.get(&path(from, to)).await.expect(200).body["items"].as_array().unwrap().len()
    };
    assert_eq!(free(&desk, 23, 24).await, 15);
    assert_eq!(free(&patient, 23, 25).await, 0);
    assert_eq!(free(&patient, 0, 20).await, 0);
    assert_eq!(free(&patient, 21, 23).await, 32, "the last day is a whole one");
    let booked = patient.post("/appointments", &own(21)).await.expect(201);
    assert_eq!(free(&desk, 21, 22).await, 15);
    assert_eq!(free(&patient, 21, 22).await, 15);

    let there = format!("/appointments/{}", booked.id());
    let later = patient.put(&there, booked.header("etag"), &own(23)).await.expect(422);
    assert_eq!(later.faults(), faults([("/starts_at", "too_far")]));
    let taken = patient.post("/appointments", &own(21)).await.expect(409);
    let alternative = taken.body["alternatives"][0].as_str().unwrap();
    patient.post("/appointments", &clinic.visit(alternative)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_offered_no_time_at_which_another_visit_waits() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let admin = clinic.admin().await;
    let newcomer = json!({ "full_name": "Another", "email": "another@shanti.example" });
    let another = admin.post("/doctors", &newcomer).await.expect(201).id();
    let hours = json!({ "items": [
        { "location_id": clinic.location, "weekday": 1, "starts_at": "09:00", "ends_at": "17:00" },
    ]});
    admin.put(&format!("/doctors/{another}/availability"), "*", &hours).await.expect(200);
    let mut visit = clinic.visit(TEN);
    visit["doctor_id"] = json!(another);
    desk.post("/appointments", &visit).await.expect(201);

    assert!(slots(&desk, &clinic, "").await.contains(&"10:00".to_owned()));
    assert!(!slots(&patient, &clinic, "").await.contains(&"10:00".to_owned()));
    patient.post("/appointments", &clinic.visit(TEN)).await.expect(409);
    let mut doubled = clinic.visit(TEN);
    doubled["overbook"] = json!({ "reason": "two doctors see her at once" });
    let doubled = desk.post("/appointments", &doubled).await.expect(201);
    assert_eq!(doubled.body["overbooked"], true, "the patient's own time is doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_has_its_length_and_what_is_kept_free_around_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let kinds = json!({
        "in_person": { "buffer_after_minutes": 10 },
        "video": { "slot_minutes": 20 },
    });
    set_rules(&clinic, json!({ "travel_minutes": 30, "kinds": kinds })).await;

    let first = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    assert_eq!(first.body["ends_at"], HALF_PAST, "the visit itself is as long as the slot");

    let in_person = slots(&desk, &clinic, "").await;
    assert_eq!(
        in_person[..3],
        ["09:00", "11:00", "11:40"],
        "one every forty minutes: 09:40 would run into it"
    );
    let video = slots(&desk, &clinic, "&kind=video").await;
    assert_eq!(video[..5], ["09:00", "09:20", "09:40", "10:40", "11:00"]);
    let home = slots(&desk, &clinic, "&kind=home_visit").await;
    assert_eq!(home[..2], ["09:00", "12:00"], "at 10:30 the doctor would leave at 10:00");
    let close = clinic.visit_of(clinic.patients[1], "2099-01-05T05:05:00Z"); // 10:35
    desk.post("/appointments", &close).await.expect(409);

    let mut visit = clinic.visit_of(clinic.patients[1], "2099-01-05T06:30:00Z"); // 12:00
    visit["kind"] = json!("home_visit");
    visit["address"] = json!("12 Temple Road");
    desk.post("/appointments", &visit).await.expect(201);
    let near = async |at| desk.post("/appointments", &clinic.visit(at)).await.status.as_u16();
    assert_eq!(
        near("2099-01-05T05:30:00Z").await,
        409,
        "11:00 to 11:40: the doctor is about to leave"
    );
    assert_eq!(near("2099-01-05T07:15:00Z").await, 409, "12:45: on the way back");
    assert_eq!(near("2099-01-05T07:30:00Z").await, 201, "13:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_at_the_same_time_keeps_free_what_it_needs_or_is_refused() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    set_rules(&clinic, json!({ "travel_minutes": 30 })).await;
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let next = clinic.visit_of(clinic.patients[1], HALF_PAST);
    let next = desk.post("/appointments", &next).await.expect(201);
    let path = format!("/appointments/{}", visit.id());
    let mut at_home = clinic.visit(TEN);
    at_home["kind"] = json!("home_visit");
    at_home["address"] = json!("12 Temple Road");

    desk.put(&path, visit.header("etag"), &at_home).await.expect(409);
    desk.delete(&format!("/appointments/{}", next.id())).await.expect(200);
    let changed = desk.put(&path, visit.header("etag"), &at_home).await.expect(200);

    assert_eq!(
        (&changed.body["kind"], &changed.body["status"]),
        (&json!("home_visit"), &json!("booked"))
    );
    assert!(!slots(&desk, &clinic, "").await.contains(&"10:30".to_owned()));
    let moved = "select count(*) from outbox where purpose = 'appointment.moved'";
    assert_eq!(clinic.count(moved).await, 0, "the patient waits at the same time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_sees_so_many_a_day_unless_staff_say_otherwise() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    set_rules(&clinic, json!({ "max_per_day": 2 })).await;
    for at in ["2099-01-05T03:30:00Z", "2099-01-05T10:30:00Z"] {
        let visit = clinic.visit_of(clinic.another_patient().await, at);
        desk.post("/appointments", &visit).await.expect(201);
    }

    assert_eq!(slots(&desk, &clinic, "").await, [""; 0]);
    let taken = desk.post("/appointments", &clinic.visit(TEN)).await.expect(409);
    assert_eq!(taken.body["alternatives"][0], "2099-01-06T03:30:00Z", "the next day");
    let mut beyond = clinic.visit(TEN);
    beyond["overbook"] = json!({ "reason": "came from far" });
    let beyond = desk.post("/appointments", &beyond).await.expect(201);
    assert_eq!(beyond.body["overbooked"], true);
    let later = clinic.visit(HALF_PAST);
    let path = format!("/appointments/{}", beyond.id());
    desk.put(&path, beyond.header("etag"), &later).await.expect(409);

    let doctor = admin.get(&format!("/doctors/{}", clinic.doctor)).await.expect(200);
    let mut own = doctor.body.clone();
    own["max_per_day"] = json!(4);
    let own = admin
        .put(&format!("/doctors/{}", clinic.doctor), doctor.header("etag"), &own)
        .await
        .expect(200);
    assert_eq!(own.body["max_per_day"], 4);
    desk.put(&path, beyond.header("etag"), &later).await.expect(200);
}
