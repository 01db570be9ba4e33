//! Holidays and extra days.

use chrono::{Days, Utc};
use serde_json::{Value, json};

use super::{TEN, faults, slots};
use crate::support::TestClinic;

fn pongal() -> Value {
    json!({ "first_day": "2099-01-04", "last_day": "2099-01-05", "name": "Pongal" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holiday_takes_a_day_away_and_gives_it_back() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let elsewhere = admin.post("/locations", &json!({ "name": "Elsewhere" })).await.expect(201);

    let mut new = pongal();
    new["location_id"] = elsewhere.body["id"].clone();
    let made = admin.post_with_key("/holidays", &new, "k").await.expect(201);
    assert_eq!(made.header("location"), format!("/api/v1/holidays/{}", made.id()));
    assert_eq!(slots(&desk, &clinic, "").await.len(), 16, "another location's");
    let path = format!("/holidays/{}", made.id());
    let everywhere = admin.put(&path, made.header("etag"), &pongal()).await.expect(200);
    assert_eq!(everywhere.body["location_id"], Value::Null);
    assert_eq!(slots(&desk, &clinic, "").await.len(), 0);
    let refused = desk.post("/appointments", &clinic.visit(TEN)).await.expect(422);
    assert_eq!(refused.faults(), faults([("/starts_at", "holiday")]));
    let after = clinic.visit("2099-01-06T04:30:00Z");
    desk.post("/appointments", &after).await.expect(201);

    let items = async |query: &str| {
        let listed = desk.get(&format!("/holidays{query}")).await.expect(200);
        listed.body["items"].as_array().unwrap().len()
    };
    assert_eq!(items("").await, 1);
    assert_eq!(items("?from=2099-01-05&to=2099-01-06").await, 1);
    assert_eq!(items("?from=2099-01-06").await, 0);
    assert_eq!(items("?to=2099-01-04").await, 0);
    assert_eq!(items(&format!("?location_id={}", clinic.location)).await, 1);
    desk.post("/holidays", &pongal()).await.expect(403);
    admin.put(&path, made.header("etag"), &pongal()).await.expect(412);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    assert_eq!(slots(&desk, &clinic, "").await.len(), 16);
    let rows = "select count(*) from audit_log where entity = 'holiday'";
    assert_eq!(clinic.count(rows).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holiday_over_visits_is_refused_until_somebody_says_what_becomes_of_them() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let mut new = pongal();

    let refused = admin.post_with_key("/holidays", &new, "k").await.expect(409);
    assert_eq!(refused.problem(), "bookings-affected");
    assert_eq!(refused.body["bookings"][0]["id"], visit.body["id"]);
    new["resolve"] = json!("keep");
    admin.post_with_key("/holidays", &new, "k").await.expect(201);
    assert_eq!(admin.get(&format!("/appointments/{}", visit.id())).await.body["status"], "booked");

    for (body, at, code) in [
        (
            json!({ "first_day": "2099-02-02", "last_day": "2099-02-01", "name": "x" }),
            "/last_day",
            "out_of_range",
        ),
        (
            json!({ "first_day": "2099-02-02", "last_day": "2100-02-04", "name": "x" }),
            "/last_day",
            "out_of_range",
        ),
        (json!({ "first_day": "2020-02-02", "name": "x" }), "/last_day", "in_the_past"),
        (json!({ "first_day": "2099-02-02" }), "/name", "required"),
        (
            json!({ "first_day": "2099-02-02", "name": "x", "location_id": nadi::ids::new_uuid() }),
            "/location_id",
            "not_found",
        ),
    ] {
        let refused = admin.post("/holidays", &body).await.expect(422);
        assert_eq!(refused.faults(), faults([(at, code)]), "{body}");
    }
}

fn evening(clinic: &TestClinic, from: &str, to: &str) -> Value {
    json!({ "location_id": clinic.location, "day": "2099-01-05", "starts_at": from, "ends_at": to })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_evening_is_offered_and_lies_over_no_other_hours() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let path = format!("/doctors/{}/extra-hours", clinic.doctor);

    let mut new = evening(&clinic, "18:00", "20:00");
    new["breaks"] = json!([{ "starts_at": "18:30", "ends_at": "19:00" }]);
    let given = admin.post_with_key(&path, &new, "k").await.expect(201);
    assert_eq!(given.header("location"), format!("/api/v1{path}/{}", given.id()));
    let all = slots(&desk, &clinic, "").await;
    assert_eq!(all[16..], ["18:00", "19:00", "19:30"]);
    let at_seven = clinic.visit("2099-01-05T13:30:00Z");
    desk.post("/appointments", &at_seven).await.expect(201);

    for (from, to, at, code) in [
        ("19:30", "21:00", "/starts_at", "overlaps"),
        ("16:59", "17:30", "/starts_at", "overlaps"),
        ("21:00", "20:00", "/ends_at", "out_of_range"),
    ] {
        let refused = admin.post(&path, &evening(&clinic, from, to)).await.expect(422);
        assert_eq!(refused.faults(), faults([(at, code)]), "{from} to {to}");
    }
    admin.post(&path, &evening(&clinic, "17:00", "18:00")).await.expect(201);
    let hours = json!({ "items": [
        { "location_id": clinic.location, "weekday": 2, "starts_at": "09:00", "ends_at": "20:00" },
        { "location_id": clinic.location, "weekday": 1, "starts_at": "19:00", "ends_at": "22:00" },
    ]});
    let weekly = format!("/doctors/{}/availability", clinic.doctor);
    let refused = admin.put(&weekly, "*", &hours).await.expect(422);
    assert_eq!(refused.faults(), faults([("/items/1", "overlaps")]));

    let one = format!("{path}/{}", given.id());
    assert_eq!(desk.get(&one).await.expect(200).body, given.body);
    assert_eq!(desk.get(&path).await.expect(200).body["items"].as_array().unwrap().len(), 2);
    let holiday = json!({ "first_day": "2099-01-05", "name": "Pongal", "resolve": "keep" });
    let holiday = admin.post("/holidays", &holiday).await.expect(201);
    assert_eq!(slots(&desk, &clinic, "").await.len(), 0, "a holiday closes extra days too");
    admin.delete(&format!("/holidays/{}", holiday.id())).await.expect(204);
    admin.delete(&one).await.expect(204);
    admin.get(&one).await.expect(404);
    assert_eq!(slots(&desk, &clinic, "").await[15..], ["16:30", "17:00", "17:30"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_with_an_extra_day_or_a_room_is_not_closed() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let place = admin.post("/locations", &json!({ "name": "Elsewhere" })).await.expect(201).id();
    let path = format!("/locations/{place}");
    let extra = json!({ "location_id": place, "day": "2099-01-05", "starts_at": "18:00", "ends_at": "20:00" });
    let extra_hours = format!("/doctors/{}/extra-hours", clinic.doctor);

    let extra = admin.post(&extra_hours, &extra).await.expect(201).id();
    assert_eq!(admin.delete(&path).await.expect(409).problem(), "in-use");
    admin.delete(&format!("{extra_hours}/{extra}")).await.expect(204);
    let room = json!({ "kind": "room", "name": "Droni", "location_id": place });
    let room = admin.post("/resources", &room).await.expect(201).id();
    assert_eq!(admin.delete(&path).await.expect(409).problem(), "in-use");
    admin.delete(&format!("/resources/{room}")).await.expect(204);

    admin.delete(&path).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_booking_slips_in_while_a_holiday_is_made() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    for day in 10..30 {
        let visit = clinic.visit(&format!("2099-01-{day}T04:30:00Z"));
        let closed = json!({ "first_day": format!("2099-01-{day}"), "name": "Pongal" });

        let (made, booked) =
            tokio::join!(admin.post("/holidays", &closed), desk.post("/appointments", &visit));

        match (made.status.as_u16(), booked.status.as_u16()) {
            (201, 422) => assert_eq!(booked.faults(), faults([("/starts_at", "holiday")])),
            (409, 201) => assert_eq!(made.problem(), "bookings-affected"),
            other => panic!("{other:?}: {} {}", made.text, booked.text),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_over_here_may_be_today_at_another_place() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let today = Utc::now().with_timezone(&chrono_tz::Asia::Kolkata).date_naive();
    let place = json!({ "name": "Pago Pago", "time_zone": "Pacific/Pago_Pago" });
    let place = admin.post("/locations", &place).await.expect(201).id();
    let (holidays, extra) =
        ("/holidays".to_owned(), format!("/doctors/{}/extra-hours", clinic.doctor));

    for (days, status) in [(1, 201), (2, 422)] {
        let day = today - Days::new(days);
        let closed = json!({ "location_id": place, "first_day": day, "name": "Flag Day" });
        let hours =
            json!({ "location_id": place, "day": day, "starts_at": "18:00", "ends_at": "20:00" });
        admin.post(&holidays, &closed).await.expect(status);
        admin.post(&extra, &hours).await.expect(status);
    }
}
