//! Weekly hours.

use serde_json::json;

use super::{faults, line, set_hours};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn weekly_hours_are_replaced_as_a_whole_and_slots_follow() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let (doctor, here) = (clinic.doctor.to_string(), clinic.location.to_string());
    let path = format!("/doctors/{doctor}/availability");
    let before = admin.get(&path).await.expect(200);
    assert_eq!(before.body["items"].as_array().unwrap().len(), 7);
    assert_eq!(
        before.header("etag"),
        admin.get(&format!("/doctors/{doctor}")).await.header("etag")
    );
    let monday = before.body["items"][0].clone();
    assert_eq!((&monday["starts_at"], &monday["breaks"]), (&json!("09:00"), &json!([])));

    let mut kept = monday.clone();
    kept["breaks"] = json!([{ "starts_at": "09:30", "ends_at": "16:30" }]);
    let late = line(
        &here,
        1,
        "17:00",
        "18:00",
        json!({ "valid_from": "2099-01-06", "valid_to": "2099-01-13" }),
    );
    let wanted = json!({ "items": [late, kept] });
    let after = admin.put(&path, before.header("etag"), &wanted).await.expect(200);
    assert_eq!(after.body["items"][0], kept, "sorted, and the line keeps its id");
    assert_eq!(after.body["items"][1]["valid_to"], "2099-01-13");
    let read = admin.get(&path).await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&after.body, after.header("etag")));
    admin.put(&path, before.header("etag"), &wanted).await.expect(412);
    admin.put(&path, after.header("etag"), &after.body).await.expect(200);

    for (day, free) in [("2099-01-05", 2), ("2099-01-06", 0), ("2099-01-12", 4), ("2099-01-19", 2)]
    {
        let next = day.parse::<chrono::NaiveDate>().unwrap().succ_opt().unwrap();
        let slots =
            admin.get(&format!("/doctors/{doctor}/slots?from={day}&to={next}")).await.expect(200);
        assert_eq!(slots.body["items"].as_array().unwrap().len(), free, "{day}");
    }
    let none = set_hours(&admin, &doctor, json!([])).await.expect(200);
    assert_eq!(none.body["items"], json!([]));
    let log = "select count(*) from audit_log where action = 'doctor.hours_changed'";
    assert_eq!(clinic.count(log).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_hours_name_every_line_and_change_nothing() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let (doctor, here) = (clinic.doctor.to_string(), clinic.location.to_string());
    let path = format!("/doctors/{doctor}/availability");
    let standing = admin.get(&path).await.expect(200);
    let id = &standing.body["items"][0]["id"];
    let nowhere = nadi::ids::new_uuid().to_string();
    let bad = json!([
        line(&here, 1, "09:00", "12:00", json!({ "id": id })),
        line(&here, 1, "11:00", "13:00", json!({ "id": id })),
        line(&nowhere, 2, "09:00", "12:00", json!({})),
        line(&here, 8, "12:00", "09:00", json!({ "valid_from": "2026-13-01" })),
        line(&here, 3, "09:00", "12:00", json!({ "id": nowhere })),
        line(
            &here,
            4,
            "09:00",
            "12:00",
            json!({ "breaks": [{ "starts_at": "12:00", "ends_at": "12:30" }] })
        ),
    ]);

    let refused = set_hours(&admin, &doctor, bad).await.expect(422);
    let named = faults([
        ("/items/3/weekday", "out_of_range"),
        ("/items/3/ends_at", "out_of_range"),
        ("/items/3/valid_from", "invalid_format"),
        ("/items/5/breaks/0", "outside_hours"),
        ("/items/1/id", "repeated"),
        ("/items/1", "overlaps"),
        ("/items/2/location_id", "not_found"),
        ("/items/4/id", "not_found"),
    ]);
    assert_eq!(refused.faults(), named);
    let missing = admin.put(&path, "*", &json!({})).await.expect(422);
    assert_eq!(missing.faults(), faults([("/items", "required")]));
    let nobody = format!("/doctors/{nowhere}/availability");
    admin.get(&nobody).await.expect(404);
    admin.put(&nobody, "*", &json!({})).await.expect(404);
    let after = admin.get(&path).await.expect(200);
    assert_eq!((&after.body, after.header("etag")), (&standing.body, standing.header("etag")));
}
