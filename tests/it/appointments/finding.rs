//! What is free, what is not there, and pages that end.

use nadi::auth::Role;
use serde_json::json;

use super::TEN;
use crate::support::TestClinic;

fn faults(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(place, code)| ((*place).to_owned(), (*code).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alternatives_are_free_for_the_patient_too_and_as_long_as_asked() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let (first, second) = (clinic.patients[0], clinic.patients[1]);
    desk.post("/appointments", &clinic.visit_of(second, TEN)).await.expect(201);
    // At 11:00 the doctor is taken again, and at 13:30 the patient, by somebody else.
    desk.post("/appointments", &clinic.visit_of(second, "2099-01-05T05:30:00Z")).await.expect(201);
    sqlx::query("insert into claims (appointment_id, subject_id, during)
                 select id, $1, tstzrange('2099-01-05T08:00:00Z', '2099-01-05T08:30:00Z') from appointments limit 1")
        .bind(first)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let mut therapy = clinic.visit_of(first, TEN);
    therapy["duration_minutes"] = json!(60);

    let taken = desk.post("/appointments", &therapy).await.expect(409);

    // 10:30 is free for half an hour only; 13:00 and 13:30 would double the patient.
    let free = ["2099-01-05T06:00:00Z", "2099-01-05T06:30:00Z", "2099-01-05T07:00:00Z"];
    assert_eq!(taken.body["alternatives"], json!(free), "{}", taken.text);
    therapy["starts_at"] = json!("2099-01-05T07:30:00Z");
    let taken = desk.post("/appointments", &therapy).await.expect(409);
    assert_eq!(taken.body["alternatives"][0], "2099-01-05T08:30:00Z", "{}", taken.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_is_not_there_is_named() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let closed = admin.post("/locations", &json!({ "name": "Old wing" })).await.expect(201);
    admin.delete(&format!("/locations/{}", closed.id())).await.expect(204);
    let mut visit = clinic.visit(TEN);
    for nowhere in [json!(nadi::ids::new_uuid()), json!(closed.id())] {
        visit["location_id"] = nowhere;
        let answer = desk.post("/appointments", &visit).await.expect(422);
        assert_eq!(answer.faults(), faults(&[("/location_id", "not_found")]));
    }

    let other = admin.post("/locations", &json!({ "name": "New wing" })).await.expect(201);
    visit["location_id"] = json!(other.id());

    let elsewhere = desk.post("/appointments", &visit).await.expect(422);
    assert_eq!(elsewhere.faults(), faults(&[("/starts_at", "outside_hours")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_clock_says_is_told_with_everything_else() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);

    let visit =
        json!({ "starts_at": "2020-01-06T04:30:00Z", "kind": "video", "duration_minutes": "15" });
    let visit = desk.post("/appointments", &visit).await.expect(422);
    let patient = json!({ "date_of_birth": "2100-01-01" });
    let patient = desk.post("/patients", &patient).await.expect(422);
    let away = format!("/doctors/{}/time-off", clinic.doctor);
    let away = admin.post(&away, &json!({ "ends_at": "2020-01-06T04:30:00Z" })).await.expect(422);

    let expected = [
        ("/patient_id", "required"),
        ("/doctor_id", "required"),
        ("/duration_minutes", "wrong_type"),
        ("/starts_at", "in_the_past"),
    ];
    assert_eq!(visit.faults(), faults(&expected));
    let expected = [("/full_name", "required"), ("/date_of_birth", "in_the_future")];
    assert_eq!(patient.faults(), faults(&expected));
    assert_eq!(away.faults(), faults(&[("/starts_at", "required"), ("/ends_at", "in_the_past")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_beyond_the_end_is_empty() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for at in [TEN, "2099-01-06T04:30:00Z"] {
        desk.post("/appointments", &clinic.visit(at)).await.expect(201);
    }
    sqlx::query("insert into claims (appointment_id, subject_id, during) select id, $1, during from appointments")
        .bind(clinic.account(Role::Therapist))
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let therapist = clinic.caller(Role::Therapist).await;
    let first = therapist.get("/appointments?limit=1").await.expect(200);
    let cursor = first.body["next_cursor"].as_str().unwrap();

    for query in
        [format!("cursor={cursor}&to=2099-01-01T00:00:00Z"), "to=1950-01-01T00:00:00Z".to_owned()]
    {
        let page = therapist.get(&format!("/appointments?{query}")).await.expect(200);
        assert_eq!(page.body["items"], json!([]), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_zone_gives_no_times_rather_than_wrong_ones() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    sqlx::query("update locations set time_zone = 'Nowhere/Atlantis'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    let slots = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06", clinic.doctor);
    desk.get(&slots).await.expect(500);
    desk.get(&format!("/appointments?date=2099-01-05&location_id={}", clinic.location))
        .await
        .expect(500);
    desk.post("/appointments", &clinic.visit(TEN)).await.expect(500);
}
