//! Who waits, and for what.

use nadi::auth::Role;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_listed_in_line_and_sees_the_own_entries_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, patient) = (clinic.desk().await, clinic.patient().await);
    let how = json!({
        "weekdays": [3, 1, 1], "from_time": "09:00", "to_time": "12:30", "first_day": "2099-01-01",
        "last_day": "2099-02-01", "kind": "video", "duration_minutes": 20, "reason": "a cough",
        "location_id": clinic.location,
    });
    let first = waits(&clinic, &desk, clinic.patients[1], json!({})).await;
    let second = waits(&clinic, &patient, clinic.patients[0], how).await;

    let listed = desk.get("/waitlist").await.expect(200);
    let line: Vec<&Value> =
        listed.body["items"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    let ids = [&first, &second].map(|path| json!(path.trim_start_matches("/waitlist/")));
    assert_eq!(line, ids.iter().collect::<Vec<_>>());
    let own = entry(&patient, &second).await;
    assert_eq!(own["weekdays"], json!([1, 3]));
    assert_eq!((&own["from_time"], &own["to_time"]), (&json!("09:00"), &json!("12:30")));
    assert_eq!((&own["status"], &own["offer"]), (&json!("waiting"), &Value::Null));
    assert_eq!(own["patient_name"], "Lakshmi Menon");

    let mine = patient.get("/waitlist").await.expect(200).body;
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
    let others = format!("/waitlist?patient_id={}", clinic.patients[1]);
    assert_eq!(patient.get(&others).await.expect(200).body["items"], json!([]));
    for refused in [
        patient.get(&first).await,
        patient.delete(&first).await,
        accept(&patient, &first).await,
        decline(&patient, &first).await,
    ] {
        assert_eq!(refused.expect(404).problem(), "not-found");
    }
    let other = json!({ "patient_id": clinic.patients[1], "doctor_id": clinic.doctor });
    let refused = patient.post("/waitlist", &other).await.expect(422);
    assert_eq!(refused.faults(), [("/patient_id".to_owned(), "not_found".to_owned())]);
    let therapist = clinic.caller(Role::Therapist).await;
    assert_eq!(therapist.get("/waitlist").await.expect(200).body["items"], json!([]));
    therapist.get(&first).await.expect(403);

    let page = desk.get("/waitlist?limit=1").await.expect(200).body;
    let next = format!("/waitlist?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(desk.get(&next).await.expect(200).body["items"][0]["id"], ids[1]);
    let filtered = format!(
        "/waitlist?status=waiting&doctor_id={}&patient_id={}",
        clinic.doctor, clinic.patients[0]
    );
    assert_eq!(desk.get(&filtered).await.expect(200).body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_wait_for_is_refused_by_its_field() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let nobody = Uuid::now_v7();
    let patient = clinic.patients[0];
    let doctor = clinic.doctor;
    for (body, pointer, code) in [
        (json!({ "doctor_id": doctor }), "/patient_id", "required"),
        (json!({ "patient_id": patient }), "/doctor_id", "required"),
        (json!({ "patient_id": patient, "doctor_id": null }), "/doctor_id", "required"),
        (json!({ "patient_id": patient, "doctor_id": "x" }), "/doctor_id", "invalid_format"),
        (json!({ "patient_id": patient, "specialty": "" }), "/specialty", "required"),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "specialty": "x" }),
            "/specialty",
            "conflicting",
        ),
        (json!({ "patient_id": nobody, "doctor_id": doctor }), "/patient_id", "not_found"),
        (json!({ "patient_id": patient, "doctor_id": nobody }), "/doctor_id", "not_found"),
        (json!({ "patient_id": patient, "specialty": "alchemy" }), "/specialty", "not_found"),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "location_id": nobody }),
            "/location_id",
            "not_found",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "weekdays": [0] }),
            "/weekdays/0",
            "out_of_range",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "from_time": "9" }),
            "/from_time",
            "invalid_format",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "from_time": "12:00", "to_time": "09:00" }),
            "/to_time",
            "out_of_range",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "last_day": "2001-01-01" }),
            "/last_day",
            "in_the_past",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "first_day": "2099-02-01", "last_day": "2099-01-01" }),
            "/last_day",
            "out_of_range",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "kind": "home_visit" }),
            "/address",
            "required",
        ),
        (
            json!({ "patient_id": patient, "doctor_id": doctor, "hours": 1 }),
            "/hours",
            "unknown_field",
        ),
    ] {
        let refused = desk.post("/waitlist", &body).await.expect(422);
        assert_eq!(refused.faults(), [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    assert_eq!(clinic.count("select count(*) from waitlist").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_last_day_is_over_waits_no_more() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    let path = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    sqlx::query("update waitlist set last_day = (now() - interval '2 days')::date")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    assert_eq!(status(&desk, &path).await, "expired");
    desk.delete(&visit).await.expect(200);
    until_looked(&clinic).await;
    assert_eq!(status(&desk, &path).await, "expired");
    assert_eq!(desk.get("/waitlist").await.expect(200).body["items"], json!([]), "the line");
    let over = desk.get("/waitlist?status=expired").await.expect(200).body;
    assert_eq!(over["items"].as_array().unwrap().len(), 1);
    assert_eq!(desk.delete(&path).await.expect(200).body["status"], "withdrawn");
    desk.delete(&path).await.expect(200);
    let left = desk.get("/waitlist?status=withdrawn").await.expect(200).body;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_everything_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for _ in 0..10 {
        waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    }
    let body = json!({ "patient_id": clinic.patients[0], "doctor_id": clinic.doctor });
    assert_eq!(desk.post("/waitlist", &body).await.expect(409).problem(), "too-many");
    let visits = [taken(&clinic, &desk, TEN).await, taken(&clinic, &desk, HALF_PAST).await];

    for visit in &visits {
        desk.delete(visit).await.expect(200);
    }

    let open = "select count(*) from waitlist_offers";
    until("something is offered", async || clinic.count(open).await > 0).await;
    until_looked(&clinic).await;
    assert_eq!(clinic.count(open).await, 1, "one at a time");

    run(&clinic, "update waitlist set last_day = (now() - interval '9 days')::date").await;
    desk.post("/waitlist", &body).await.expect(201); // what is over counts no more
}
