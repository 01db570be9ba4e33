//! The appointment book, through the API.

mod clock;
mod finding;
mod life;
mod moving;
mod reminders;
mod reopening;
mod series;

use nadi::auth::Role;
use serde_json::json;

use crate::support::TestClinic;

/// A Monday, 10:00 in Kolkata.
const TEN: &str = "2099-01-05T04:30:00Z";
const HALF_PAST: &str = "2099-01-05T05:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_want_one_slot_and_one_gets_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let (first, second) = (clinic.visit(TEN), clinic.visit_of(clinic.patients[1], TEN));

    let (a, b) =
        tokio::join!(desk.post("/appointments", &first), desk.post("/appointments", &second));

    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [201, 409]);
    let loser = if a.status == 409 { a } else { b };
    assert_eq!(loser.problem(), "slot-taken");
    assert_eq!(loser.body["alternatives"][0], HALF_PAST, "{}", loser.text);
    assert_eq!(
        clinic.count("select count(*) from outbox where purpose = 'appointment.booked'").await,
        1,
        "the loser tells the patient nothing"
    );
    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'appointment.booked'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_want_one_slot_and_one_gets_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut bookings = Vec::new();
    for _ in 0..200 {
        let visit = clinic.visit_of(clinic.another_patient().await, TEN);
        let desk = desk.clone();
        bookings.push(tokio::spawn(async move { desk.post("/appointments", &visit).await }));
    }

    let mut statuses = Vec::new();
    for booking in bookings {
        statuses.push(booking.await.unwrap().status.as_u16());
    }

    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 199, "{statuses:?}");
    assert_eq!(clinic.count("select count(*) from claims").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_booked_read_moved_and_cancelled() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;

    let booked = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    assert_eq!(booked.header("location"), format!("/api/v1/appointments/{}", booked.id()));
    assert_eq!(booked.body["ends_at"], HALF_PAST, "as long as the doctor's slot");
    assert_eq!(booked.body["location_id"], clinic.location.to_string());
    assert_eq!(booked.body["patient_name"], "Lakshmi Menon");
    let path = format!("/appointments/{}", booked.id());
    let read = desk.get(&path).await.expect(200);
    assert_eq!(read.body, booked.body);

    let moved = desk.put(&path, read.header("etag"), &clinic.visit(HALF_PAST)).await.expect(200);
    assert_eq!(moved.body["starts_at"], HALF_PAST);
    desk.post("/appointments", &clinic.visit_of(clinic.patients[1], TEN)).await.expect(201);
    let stale = desk.put(&path, read.header("etag"), &clinic.visit(TEN)).await.expect(412);
    assert_eq!(stale.problem(), "precondition-failed");
    let taken = desk.put(&path, moved.header("etag"), &clinic.visit(TEN)).await.expect(409);
    assert_eq!(taken.problem(), "slot-taken");
    assert_eq!(desk.get(&path).await.body["starts_at"], HALF_PAST, "the old time is not lost");

    let cancelled = desk.delete(&format!("{path}?reason=asked%20by%20phone")).await.expect(200);
    assert_eq!(cancelled.body["status"], "cancelled");
    assert_eq!(cancelled.body["cancel_reason"], "asked by phone");
    let again = desk.delete(&path).await.expect(409);
    assert_eq!(again.problem(), "illegal-transition");
    assert_eq!(
        (&again.body["from"], &again.body["to"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    desk.post("/appointments", &clinic.visit(HALF_PAST)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_listed_by_doctor_patient_location_and_page() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for (hour, patient) in [(4, 0), (5, 1), (6, 0)] {
        let at = format!("2099-01-05T0{hour}:30:00Z");
        desk.post("/appointments", &clinic.visit_of(clinic.patients[patient], &at))
            .await
            .expect(201);
    }
    let other_day = clinic.visit("2099-01-06T04:30:00Z");
    desk.post("/appointments", &other_day).await.expect(201);

    for (query, count) in [
        (format!("?date=2099-01-05&doctor_id={}", clinic.doctor), 3),
        (format!("?date=2099-01-05&patient_id={}", clinic.patients[0]), 2),
        (format!("?date=2099-01-05&location_id={}", clinic.location), 3),
        (
            format!(
                "?date=2099-01-05&doctor_id={}&patient_id={}",
                clinic.doctor, clinic.patients[1]
            ),
            1,
        ),
        ("?date=2099-01-05".into(), 3),
        ("?from=2099-01-05T05:00:00Z&to=2099-01-07T00:00:00Z".into(), 3),
        ("?status=cancelled".into(), 0),
        (format!("?date=2099-01-07&doctor_id={}", clinic.doctor), 0),
        ("?overbooked=true".into(), 0),
        (format!("?overbooked=false&doctor_id={}", clinic.doctor), 4),
    ] {
        let listed = desk.get(&format!("/appointments{query}")).await.expect(200);
        assert_eq!(listed.body["items"].as_array().unwrap().len(), count, "{query}");
    }

    let mut seen = Vec::new();
    let mut path = "/appointments?limit=1".to_owned();
    loop {
        let page = desk.get(&path).await.expect(200);
        seen.push(page.body["items"][0]["starts_at"].as_str().unwrap().to_owned());
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/appointments?limit=1&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_those_that_can_be_booked() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let path = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06", clinic.doctor);
    let before = desk.get(&path).await.expect(200);
    assert_eq!(before.body["time_zone"], "Asia/Kolkata");
    assert_eq!(before.body["items"].as_array().unwrap().len(), 16);

    for slot in before.body["items"].as_array().unwrap() {
        let at = slot["starts_at"].as_str().unwrap();
        desk.post("/appointments", &clinic.visit_of(clinic.another_patient().await, at))
            .await
            .expect(201);
    }

    let after = desk.get(&path).await.expect(200);
    assert_eq!(after.body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_booking_names_every_fault_and_changes_nothing() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let bad = json!({
        "patient_id": "nobody", "kind": "telepathy", "starts_at": "tomorrow", "duration_minutes": 3,
        "reason": "line\u{0}break", "colour": "blue",
    });

    let answer = desk.post("/appointments", &bad).await.expect(422);

    let expected = [
        ("/patient_id", "invalid_format"),
        ("/doctor_id", "required"),
        ("/kind", "unknown_value"),
        ("/starts_at", "invalid_format"),
        ("/duration_minutes", "out_of_range"),
        ("/reason", "invalid_characters"),
        ("/colour", "unknown_field"),
    ];
    let expected: Vec<_> = expected.iter().map(|(p, c)| (p.to_string(), c.to_string())).collect();
    assert_eq!(answer.faults(), expected);

    let case = |starts_at: &str| clinic.visit(starts_at);
    let nobody = nadi::ids::new_uuid();
    for (body, pointer, code) in [
        (case("2020-01-06T04:30:00Z"), "/starts_at", "in_the_past"),
        (case("2099-01-05T20:30:00Z"), "/starts_at", "outside_hours"),
        (case("2099-01-05T04:30:30Z"), "/starts_at", "invalid_format"),
        (clinic.visit_of(nobody, TEN), "/patient_id", "not_found"),
        (
            json!({ "patient_id": clinic.patients[0], "doctor_id": nobody, "kind": "video", "starts_at": TEN }),
            "/doctor_id",
            "not_found",
        ),
        (
            json!({ "patient_id": clinic.patients[0], "doctor_id": clinic.doctor, "kind": "home_visit", "starts_at": TEN }),
            "/address",
            "required",
        ),
    ] {
        let answer = desk.post("/appointments", &body).await.expect(422);
        assert_eq!(answer.faults(), [(pointer.to_owned(), code.to_owned())], "{}", answer.text);
    }
    assert_eq!(clinic.count("select count(*) from appointments").await, 0);
    assert_eq!(clinic.count("select count(*) from outbox where patient_id is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_double_a_time_on_purpose_and_a_cancellation_promotes_the_second() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let first = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let mut squeezed = clinic.visit_of(clinic.patients[1], TEN);
    squeezed["overbook"] = json!({ "reason": "came from far" });

    let second = desk.post("/appointments", &squeezed).await.expect(201);
    assert_eq!(second.body["overbooked"], true);
    for query in ["".into(), format!("&doctor_id={}", clinic.doctor)] {
        let counted = desk.get(&format!("/appointments?overbooked=true{query}")).await.expect(200);
        assert_eq!(counted.body["items"].as_array().unwrap().len(), 1, "reports count it");
        assert_eq!(counted.body["items"][0]["id"], second.body["id"]);
    }
    desk.delete(&format!("/appointments/{}", first.id())).await.expect(200);

    let third = clinic.visit_of(clinic.another_patient().await, TEN);
    assert_eq!(desk.post("/appointments", &third).await.expect(409).problem(), "slot-taken");
    assert_eq!(clinic.count("select count(*) from claims where seat > 0").await, 0);
    let patient = clinic.patient().await;
    let mut own = clinic.visit(TEN);
    own["overbook"] = json!({ "reason": "please" });
    patient.post("/appointments", &own).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_and_books_his_own_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let other =
        desk.post("/appointments", &clinic.visit_of(clinic.patients[1], TEN)).await.expect(201);

    let own = patient.post("/appointments", &clinic.visit(HALF_PAST)).await.expect(201);

    assert_eq!(
        patient.get(&format!("/appointments/{}", other.id())).await.expect(404).problem(),
        "not-found"
    );
    patient.delete(&format!("/appointments/{}", other.id())).await.expect(404);
    let listed = patient.get("/appointments").await.expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["items"][0]["id"], own.id());
    let for_another =
        patient.post("/appointments", &clinic.visit_of(clinic.patients[1], TEN)).await.expect(422);
    assert_eq!(for_another.faults(), [("/patient_id".to_owned(), "not_found".to_owned())]);
    let therapist = clinic.caller(Role::Therapist).await;
    therapist.get(&format!("/appointments/{}", own.id())).await.expect(404);
    assert_eq!(therapist.get("/appointments").await.expect(200).body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_chooses_among_what_is_offered() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let of = |at: &str, minutes: i64| {
        let mut visit = clinic.visit(at);
        visit["duration_minutes"] = json!(minutes);
        visit
    };
    const NINE: &str = "2099-01-05T03:30:00Z";
    const BETWEEN: &str = "2099-01-05T03:40:00Z";
    let long = [("/duration_minutes".to_owned(), "not_offered".to_owned())];
    let between = [("/starts_at".to_owned(), "not_offered".to_owned())];

    for minutes in [480, 60, 25] {
        let refused = patient.post("/appointments", &of(NINE, minutes)).await.expect(422);
        assert_eq!(refused.faults(), long, "{minutes}");
    }
    let refused = patient.post("/appointments", &clinic.visit(BETWEEN)).await.expect(422);
    assert_eq!(refused.faults(), between);
    let own = patient.post("/appointments", &of(NINE, 30)).await.expect(201);
    let path = format!("/appointments/{}", own.id());
    assert_eq!(patient.put(&path, "*", &of(TEN, 60)).await.expect(422).faults(), long);
    patient.delete(&path).await.expect(200);

    // What staff gave stays as it is, and moves with its length to what is offered.
    let given = desk.post("/appointments", &of(BETWEEN, 60)).await.expect(201);
    let path = format!("/appointments/{}", given.id());
    let mut told = given.body.clone();
    told["reason"] = json!("a cough");
    patient.put(&path, "*", &told).await.expect(200);
    told["kind"] = json!("video");
    patient.put(&path, "*", &told).await.expect(200);
    let later = clinic.visit("2099-01-05T04:40:00Z");
    assert_eq!(patient.put(&path, "*", &later).await.expect(422).faults(), between);
    let moved = patient.put(&path, "*", &clinic.visit(TEN)).await.expect(200);
    assert_eq!(moved.body["duration_minutes"], 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_books_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;

    let first = desk.post_with_key("/appointments", &clinic.visit(TEN), "desk-1").await.expect(201);
    let again =
        desk.post_with_key("/appointments", &clinic.visit(TEN), "\"desk-1\"").await.expect(201);

    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("etag"), first.header("etag"));
    let other =
        desk.post_with_key("/appointments", &clinic.visit(HALF_PAST), "desk-1").await.expect(422);
    assert_eq!(other.problem(), "idempotency-key-reused");
    let refused = clinic.visit_of(clinic.patients[1], TEN);
    desk.post_with_key("/appointments", &refused, "desk-2").await.expect(409);
    desk.delete(&format!("/appointments/{}", first.id())).await.expect(200);
    desk.post_with_key("/appointments", &refused, "desk-2").await.expect(201);
}
