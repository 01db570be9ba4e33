//! Series and courses: all of it or nothing, and what could be instead.

use serde_json::{Value, json};

use super::{HALF_PAST, TEN};
use crate::support::TestClinic;

/// The body of a series of visits at ten.
fn series(clinic: &TestClinic, every_days: i64, count: i64) -> Value {
    let mut body = clinic.visit(TEN);
    body["every_days"] = json!(every_days);
    body["count"] = json!(count);
    body
}

fn starts(items: &Value) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|item| item["starts_at"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weekly_series_is_booked_as_one_and_shown_and_cancelled_as_one() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;

    let booked = desk.post("/appointments/series", &series(&clinic, 7, 3)).await.expect(201);

    let at = ["2099-01-05T04:30:00Z", "2099-01-12T04:30:00Z", "2099-01-19T04:30:00Z"];
    assert_eq!(starts(&booked.body["items"]), at);
    let (id, first) = (booked.id(), &booked.body["items"][0]);
    assert_eq!(first["series_id"], json!(id));
    let told = "select count(*) from outbox where purpose = 'appointment.booked'";
    assert_eq!(clinic.count(told).await, 1, "one message, not one for each visit");
    let reminders =
        "select count(distinct subject_id) from outbox where purpose like 'appointment.reminder%'";
    assert_eq!(clinic.count(reminders).await, 3, "and each visit has its reminders");
    let path = format!("/appointments/{}", first["id"].as_str().unwrap());
    desk.delete(&path).await.expect(200);

    let shown = clinic.patient().await.get(&format!("/appointments/series/{id}")).await.expect(200);
    assert_eq!(starts(&shown.body["items"]), at, "a patient sees his own");
    let gone =
        desk.delete(&format!("/appointments/series/{id}?reason=moved+away")).await.expect(200);
    assert_eq!(starts(&gone.body["items"]), at[1..], "the first was cancelled before");
    assert_eq!(clinic.count("select count(*) from claims").await, 0);
    let again = desk.delete(&format!("/appointments/series/{id}")).await.expect(200);
    assert_eq!(again.body["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_listed_nothing_is_booked_and_the_plan_can_be() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let taken = clinic.visit_of(clinic.patients[1], "2099-01-06T04:30:00Z");
    desk.post("/appointments", &taken).await.expect(201);
    let holiday = json!({ "name": "Pongal", "first_day": "2099-01-08", "last_day": "2099-01-12" });
    clinic.admin().await.post("/holidays", &holiday).await.expect(201);

    let refused = desk.post("/appointments/series", &series(&clinic, 1, 4)).await.expect(409);

    assert_eq!(refused.problem(), "series-conflict");
    let conflicts = json!([
        { "starts_at": "2099-01-06T04:30:00Z", "code": "slot_taken" },
        { "starts_at": "2099-01-08T04:30:00Z", "code": "holiday" },
    ]);
    assert_eq!(refused.body["conflicts"], conflicts);
    assert_eq!(clinic.count("select count(*) from appointments").await, 1, "nothing of it");
    assert_eq!(refused.body["plan"], Value::Null, "nobody sits a day around the last");

    let refused = desk.post("/appointments/series", &series(&clinic, 1, 3)).await.expect(409);
    let plan = &refused.body["plan"];
    assert_eq!(plan[0], TEN);
    assert!(
        plan[1].as_str().unwrap().starts_with("2099-01-06T0"),
        "the same day, near ten: {plan}"
    );
    let mut body = clinic.visit(TEN);
    body["starts"] = plan.clone();
    let booked = desk.post("/appointments/series", &body).await.expect(201);
    assert_eq!(json!(starts(&booked.body["items"])), *plan);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_keeps_its_civil_time_when_the_clocks_change() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let place = format!("/locations/{}", clinic.location);
    let standing = admin.get(&place).await.expect(200);
    let mut location = standing.body.clone();
    location["time_zone"] = json!("Europe/Berlin");
    admin.put(&place, standing.header("etag"), &location).await.expect(200);
    let mut body = series(&clinic, 7, 3);
    body["starts_at"] = json!("2036-10-20T08:00:00Z"); // ten o'clock in summer; the clocks go back on the 26th
    let at = ["2036-10-20T08:00:00Z", "2036-10-27T09:00:00Z", "2036-11-03T09:00:00Z"];
    let desk = clinic.desk().await;
    for location in [json!(clinic.location), Value::Null] {
        body["location_id"] = location;

        let booked = desk.post("/appointments/series", &body).await.expect(201);

        assert_eq!(starts(&booked.body["items"]), at, "as the place's clock shows it");
        desk.delete(&format!("/appointments/series/{}", booked.id())).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_says_what_is_wrong_with_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let fault = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    for (change, faults) in [
        (json!({ "every_days": 0 }), vec![fault("/every_days", "out_of_range")]),
        (json!({ "count": 61 }), vec![fault("/count", "out_of_range")]),
        (json!({ "count": null }), vec![fault("/count", "required")]),
        (json!({ "every_days": 90, "count": 10 }), vec![fault("/count", "out_of_range")]),
        (json!({ "starts": [TEN, HALF_PAST] }), vec![fault("/starts", "conflicting")]),
        (
            json!({ "every_days": null, "count": null, "starts": [HALF_PAST, TEN] }),
            vec![fault("/starts", "invalid_format")],
        ),
    ] {
        let mut body = series(&clinic, 7, 3);
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let refused = desk.post("/appointments/series", &body).await.expect(422);
        assert_eq!(refused.faults(), faults, "{change}");
    }
    let mut nobody = series(&clinic, 7, 3);
    nobody["doctor_id"] = json!(nadi::ids::new_uuid());
    let refused = desk.post("/appointments/series", &nobody).await.expect(422);
    assert_eq!(refused.faults(), vec![fault("/doctor_id", "not_found")]);
    assert_eq!(clinic.count("select count(*) from appointments").await, 0);
    desk.get(&format!("/appointments/series/{}", nadi::ids::new_uuid())).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_of_one_series_stand_in_each_others_way_and_the_plan_can_be_booked() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let buffer = json!({ "kinds": { "in_person": { "buffer_after_minutes": 10 } } });
    for (rules, starts, in_the_way) in [
        (json!({ "max_per_day": 2 }), vec![TEN, HALF_PAST, "2099-01-05T06:30:00Z"], 2),
        (json!({}), vec![TEN, "2099-01-05T04:45:00Z"], 1),
        (buffer, vec![TEN, HALF_PAST, "2099-01-05T07:30:00Z"], 1),
    ] {
        admin.put("/settings/scheduling", "*", &rules).await.expect(200);
        let mut body = clinic.visit(TEN);
        body["starts"] = json!(starts);

        let refused = desk.post("/appointments/series", &body).await.expect(409);

        assert_eq!(refused.problem(), "series-conflict", "{rules}");
        let expected = json!([{ "starts_at": starts[in_the_way], "code": "slot_taken" }]);
        assert_eq!(refused.body["conflicts"], expected, "{rules}");
        let plan = &refused.body["plan"];
        assert_ne!(*plan, Value::Null, "{rules}");
        body["starts_at"] = plan[0].clone();
        body["starts"] = plan.clone();
        let booked = desk.post("/appointments/series", &body).await.expect(201);
        assert_eq!(json!(self::starts(&booked.body["items"])), *plan);
        desk.delete(&format!("/appointments/series/{}", booked.id())).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_of_one_series_that_touch_sit_beside_each_other_where_there_is_room() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let buffer = json!({ "kinds": { "in_person": { "buffer_after_minutes": 10 } } });
    admin.put("/settings/scheduling", "*", &buffer).await.expect(200);
    sqlx::query("update doctors set capacity = 2")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let mut body = clinic.visit(TEN);
    body["starts"] = json!([TEN, HALF_PAST]);

    desk.post("/appointments/series", &body).await.expect(201);

    let seats =
        "select count(distinct seat) from claims where subject_id in (select id from doctors)";
    assert_eq!(clinic.count(seats).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_is_not_there_is_a_fault_of_the_body() {
    let (_platform, clinic) = TestClinic::new().await;
    let mut body = series(&clinic, 7, 3);
    body["location_id"] = json!(nadi::ids::new_uuid());

    let refused = clinic.desk().await.post("/appointments/series", &body).await.expect(422);

    assert_eq!(refused.faults(), [("/location_id".to_owned(), "not_found".to_owned())]);
}
