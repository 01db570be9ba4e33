//! Rooms, equipment and therapists.

use nadi::auth::Role;
use serde_json::{Value, json};

use super::{HALF_PAST, TEN, faults, slots};
use crate::support::{Caller, TestClinic};

async fn room(admin: &Caller, clinic: &TestClinic, name: &str, capacity: i64) -> String {
    let room = json!({ "kind": "room", "name": name, "location_id": clinic.location, "capacity": capacity });
    admin.post("/resources", &room).await.expect(201).id()
}

/// A second doctor with the first one's hours.
async fn colleague(admin: &Caller, clinic: &TestClinic) -> String {
    let newcomer =
        json!({ "full_name": "Dr Varma", "email": "varma@shanti.example", "slot_minutes": 30 });
    let id = admin.post("/doctors", &newcomer).await.expect(201).id();
    let hours = json!({ "items": [
        { "location_id": clinic.location, "weekday": 1, "starts_at": "09:00", "ends_at": "17:00" },
    ]});
    admin.put(&format!("/doctors/{id}/availability"), "*", &hours).await.expect(200);
    id
}

fn visit(clinic: &TestClinic, patient: usize, doctor: &str, at: &str, resources: &[&str]) -> Value {
    let mut visit = clinic.visit_of(clinic.patients[patient], at);
    visit["doctor_id"] = json!(doctor);
    visit["resource_ids"] = json!(resources);
    visit
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_taken_once_whoever_wants_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let (first, second) = (clinic.doctor.to_string(), colleague(&admin, &clinic).await);
    let droni = room(&admin, &clinic, "Droni", 1).await;
    let one = visit(&clinic, 0, &first, TEN, &[&droni]);
    let other = visit(&clinic, 1, &second, TEN, &[&droni]);

    let (a, b) = tokio::join!(desk.post("/appointments", &one), desk.post("/appointments", &other));

    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [201, 409]);
    let (won, lost, again) = if a.status == 201 { (a, b, other) } else { (b, a, one) };
    assert_eq!(won.body["resource_ids"], json!([droni]));
    assert_eq!(lost.body["alternatives"][0], HALF_PAST, "the doctor is free, the room is not");
    assert_eq!(clinic.count("select count(*) from claims").await, 3);
    let with_room = slots(&desk, &clinic, &format!("&resource_ids={droni}")).await;
    assert!(!with_room.contains(&"10:00".to_owned()), "{with_room:?}");

    // It keeps its room when it moves, and gives it up when told to.
    let path = format!("/appointments/{}", won.id());
    let mut later = won.body.clone();
    later["starts_at"] = json!(HALF_PAST);
    let sent = |mut body: Value, resources: Option<Value>| {
        let body = body.as_object_mut().unwrap();
        body.retain(|name, _| {
            ["patient_id", "doctor_id", "kind", "starts_at"].contains(&name.as_str())
        });
        body.extend(resources.map(|resources| ("resource_ids".to_owned(), resources)));
        json!(body)
    };
    let moved = desk.put(&path, won.header("etag"), &sent(later.clone(), None)).await.expect(200);
    assert_eq!(moved.body["resource_ids"], json!([droni]));
    assert_eq!(clinic.count("select count(*) from claims").await, 3);
    let mut later_too = again.clone();
    later_too["starts_at"] = json!(HALF_PAST);
    desk.post("/appointments", &later_too).await.expect(409);
    let without =
        desk.put(&path, moved.header("etag"), &sent(later, Some(json!([])))).await.expect(200);
    assert_eq!(without.body["resource_ids"], json!([]));
    assert_eq!(without.body["starts_at"], HALF_PAST);
    desk.post("/appointments", &again).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_must_be_there_and_has_room_for_so_many() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let (first, second) = (clinic.doctor.to_string(), colleague(&admin, &clinic).await);
    let hall = room(&admin, &clinic, "Yoga hall", 2).await;
    let place = admin.post("/locations", &json!({ "name": "Elsewhere" })).await.expect(201).id();
    let far = json!({ "kind": "room", "name": "Far", "location_id": place });
    let far = admin.post("/resources", &far).await.expect(201).id();
    let nowhere = nadi::ids::new_uuid().to_string();

    let refused = visit(&clinic, 0, &first, TEN, &[&hall, &nowhere]);
    let refused = desk.post("/appointments", &refused).await.expect(422);
    assert_eq!(refused.faults(), faults([("/resource_ids/1", "not_found")]));
    let refused = visit(&clinic, 0, &first, TEN, &[&hall, &far]);
    let refused = desk.post("/appointments", &refused).await.expect(422);
    assert_eq!(refused.faults(), faults([("/resource_ids/1", "elsewhere")]));
    let refused = visit(&clinic, 0, &first, TEN, &[&hall, &hall]);
    let refused = desk.post("/appointments", &refused).await.expect(422);
    assert_eq!(refused.faults(), faults([("/resource_ids", "repeated")]));
    let path = format!("/doctors/{first}/slots?from=2099-01-05&to=2099-01-06&resource_ids=");
    assert_eq!(desk.get(&format!("{path}{far}")).await.expect(200).body["items"], json!([]));
    desk.get(&format!("{path}{nowhere}")).await.expect(422);
    desk.get(&format!("{path}x")).await.expect(422);

    let one = desk.post("/appointments", &visit(&clinic, 0, &first, TEN, &[&hall])).await;
    one.expect(201);
    let two = desk.post("/appointments", &visit(&clinic, 1, &second, TEN, &[&hall])).await;
    two.expect(201);
    let third = clinic.another_patient().await;
    let mut squeezed = visit(&clinic, 0, &first, TEN, &[&hall]);
    squeezed["patient_id"] = json!(third);
    desk.post("/appointments", &squeezed).await.expect(409);
    squeezed["overbook"] = json!({ "reason": "she may sit outside" });
    let squeezed = desk.post("/appointments", &squeezed).await.expect(201);
    assert_eq!(squeezed.body["overbooked"], true);
    assert_eq!(
        clinic.count("select count(*) from claims where seat = 2").await,
        1,
        "the hall's third seat"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_therapist_is_an_account_and_sees_what_takes_her_time() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let account = clinic.account(Role::Therapist).to_string();
    let therapist = json!({ "kind": "therapist", "user_id": account });

    let made = admin.post("/resources", &therapist).await.expect(201);
    assert_eq!(made.id(), account);
    assert_eq!(made.body["name"], "therapist of shanti");
    let twice = admin.post("/resources", &therapist).await.expect(422);
    assert_eq!(twice.faults(), faults([("/user_id", "taken")]));
    let nobody = json!({ "kind": "therapist", "user_id": clinic.account(Role::Receptionist) });
    let nobody = admin.post("/resources", &nobody).await.expect(422);
    assert_eq!(nobody.faults(), faults([("/user_id", "not_found")]));

    let doctor = clinic.doctor.to_string();
    let booked = visit(&clinic, 0, &doctor, TEN, &[&account]);
    let booked = desk.post("/appointments", &booked).await.expect(201);
    let hers = clinic.caller(Role::Therapist).await;
    let listed = hers.get("/appointments").await.expect(200);
    assert_eq!(listed.body["items"][0]["id"], booked.body["id"]);
    hers.get(&format!("/appointments/{}", booked.id())).await.expect(200);

    let path = format!("/resources/{account}");
    assert_eq!(admin.delete(&path).await.expect(409).problem(), "in-use");
    desk.delete(&format!("/appointments/{}", booked.id())).await.expect(200);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    let gone = visit(&clinic, 0, &doctor, TEN, &[&account]);
    let gone = desk.post("/appointments", &gone).await.expect(422);
    assert_eq!(gone.faults(), faults([("/resource_ids/0", "not_found")]));
    let back = admin.post("/resources", &therapist).await.expect(201);
    let away = json!({ "status": "suspended" });
    let tag = admin.get(&format!("/users/{account}")).await.header("etag").to_owned();
    admin.patch(&format!("/users/{account}/status"), &tag, &away).await.expect(200);
    assert_eq!(admin.get(&path).await.expect(200).body["active"], false);
    assert_ne!(back.header("etag"), made.header("etag"));
    let gone = visit(&clinic, 0, &doctor, TEN, &[&account]);
    desk.post("/appointments", &gone).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_therapist_any_more_is_booked_as_none() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let account = clinic.account(Role::Therapist).to_string();
    let therapist = json!({ "kind": "therapist", "user_id": account });
    let resource =
        format!("/resources/{}", admin.post("/resources", &therapist).await.expect(201).id());
    let user = admin.get(&format!("/users/{account}")).await.expect(200);
    let mut new = user.body.clone();
    new["role"] = json!("receptionist");

    admin.put(&format!("/users/{account}"), user.header("etag"), &new).await.expect(200);

    assert_eq!(admin.get(&resource).await.expect(200).body["active"], false);
    let refused = visit(&clinic, 0, &clinic.doctor.to_string(), TEN, &[&account]);
    let refused = desk.post("/appointments", &refused).await.expect(422);
    assert_eq!(refused.faults(), faults([("/resource_ids/0", "not_found")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_listed_and_replaced() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let droni = room(&admin, &clinic, "Droni", 1).await;
    let ecg = json!({ "kind": "equipment", "name": "ECG" });
    let ecg = admin.post_with_key("/resources", &ecg, "k").await.expect(201);

    let same = json!({ "kind": "room", "name": "DRONI", "location_id": clinic.location });
    let same = admin.post("/resources", &same).await.expect(422);
    assert_eq!(same.faults(), faults([("/name", "taken")]));
    let path = format!("/resources/{}", ecg.id());
    let mut better = ecg.body.clone();
    better["name"] = json!("ECG, twelve leads");
    better["capacity"] = json!(2);
    let better = admin.put(&path, ecg.header("etag"), &better).await.expect(200);
    assert_eq!(better.body["capacity"], 2);
    admin.put(&path, ecg.header("etag"), &better.body).await.expect(412);
    let mut other = better.body.clone();
    other["kind"] = json!("room");
    let other = admin.put(&path, better.header("etag"), &other).await.expect(422);
    assert_eq!(other.faults(), faults([("/kind", "read_only"), ("/location_id", "required")]));
    desk.put(&path, "*", &better.body).await.expect(403);

    let ids = async |query: &str| -> Vec<String> {
        let listed = desk.get(&format!("/resources{query}")).await.expect(200);
        let items = listed.body["items"].as_array().unwrap();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await, [droni.clone(), ecg.id()]);
    assert_eq!(ids("?kind=room").await, [droni.as_str()]);
    assert_eq!(ids(&format!("?location_id={}", clinic.location)).await, [droni, ecg.id()]);
    assert_eq!(ids(&format!("?location_id={}", nadi::ids::new_uuid())).await, [ecg.id()]);
}
