//! Branches, through the API.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestClinic;

const TEN: &str = "2099-01-05T04:30:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_opened_changed_and_closed() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;

    let opened = admin.post("/locations", &json!({ "name": " Alappuzha " })).await.expect(201);
    assert_eq!(opened.header("location"), format!("/api/v1/locations/{}", opened.id()));
    assert_eq!(opened.body["name"], "Alappuzha");
    assert_eq!(opened.body["time_zone"], "Asia/Kolkata", "the clinic's, unless given");
    assert_eq!((&opened.body["address"], &opened.body["phone"]), (&json!(""), &Value::Null));
    let path = format!("/locations/{}", opened.id());
    let read = admin.get(&path).await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&opened.body, opened.header("etag")));

    let mut wanted = read.body.clone(); // the view may be sent back, with what is to change
    wanted["phone"] = json!("098470 12345");
    wanted["address"] = json!("Beach Road\n688012");
    wanted["time_zone"] = json!("Asia/Dubai");
    let changed = admin.put(&path, read.header("etag"), &wanted).await.expect(200);
    assert_eq!(changed.body["phone"], "+919847012345");
    assert_eq!(changed.body["time_zone"], "Asia/Dubai");
    let stale = admin.put(&path, read.header("etag"), &wanted).await.expect(412);
    assert_eq!(stale.problem(), "precondition-failed");
    admin.send(admin.request(Method::PUT, &path).json(&wanted)).await.expect(428);
    let stale = admin.request(Method::DELETE, &path).header("if-match", read.header("etag"));
    admin.send(stale).await.expect(412);

    let replaced = json!({ "name": "Alappuzha" });
    let replaced = admin.put(&path, changed.header("etag"), &replaced).await.expect(200);
    assert_eq!(replaced.body["address"], "", "what is left out takes its default");
    assert_eq!(replaced.body["time_zone"], "Asia/Kolkata");

    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    admin.put(&path, "*", &json!({ "name": "Again" })).await.expect(404);
    admin.delete(&path).await.expect(404);
    admin.post("/locations", &json!({ "name": "alappuzha" })).await.expect(201);
    for (action, times) in
        [("location.created", 2), ("location.changed", 2), ("location.deleted", 1)]
    {
        let noted = admin_log(&clinic, action).await;
        assert_eq!(noted, times, "{action}");
    }
}

async fn admin_log(clinic: &TestClinic, action: &str) -> i64 {
    let mut connection = clinic.connection().await;
    sqlx::query_scalar("select count(*) from audit_log where action = $1 and role = 'clinic_admin'")
        .bind(action)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_branches_do_not_share_a_name() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let other = admin.post("/locations", &json!({ "name": "Alappuzha" })).await.expect(201);

    let again = admin.post("/locations", &json!({ "name": "ALAPPUZHA" })).await.expect(422);
    assert_eq!(again.faults(), [("/name".into(), "taken".into())]);
    let path = format!("/locations/{}", clinic.location);
    let read = admin.get(&path).await.expect(200);
    let taken = json!({ "name": "alappuzha" });
    let renamed = admin.put(&path, read.header("etag"), &taken).await.expect(422);
    assert_eq!(renamed.faults(), [("/name".into(), "taken".into())]);
    let path = format!("/locations/{}", other.id());
    admin.put(&path, other.header("etag"), &taken).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_in_use_is_not_closed() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let path = format!("/locations/{}", clinic.location);
    let hours = format!("/doctors/{}/availability", clinic.doctor);

    let closed = admin.delete(&path).await.expect(409);
    assert_eq!(closed.problem(), "in-use", "a doctor sits there");
    admin.put(&hours, "*", &json!({ "items": [] })).await.expect(200);
    let closed = admin.delete(&path).await.expect(409);
    assert_eq!(closed.problem(), "in-use", "a visit is still to come");

    admin.delete(&format!("/appointments/{}", visit.id())).await.expect(200);
    let past = json!({ "items": [{ "location_id": clinic.location, "weekday": 1, "starts_at": "09:00",
                                   "ends_at": "10:00", "valid_to": "2020-01-01" }] });
    admin.put(&hours, "*", &past).await.expect(200);
    admin.delete(&path).await.expect(204);
    let left = admin.get(&hours).await.expect(200);
    assert_eq!(left.body["items"], json!([]), "hours at a closed branch are no hours");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_hours_at_a_branch_that_closes_meanwhile() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    for round in 0..10 {
        let name = json!({ "name": format!("Branch {round}") });
        let branch = admin.post("/locations", &name).await.expect(201).id();
        let items = json!({ "items": [{ "location_id": branch, "weekday": 1, "starts_at": "09:00",
                                        "ends_at": "10:00" }] });
        let path = format!("/locations/{branch}");
        let hours = format!("/doctors/{}/availability", clinic.doctor);

        let (set, closed) = tokio::join!(admin.put(&hours, "*", &items), admin.delete(&path));

        match (set.status.as_u16(), closed.status.as_u16()) {
            (200, 409) => assert_eq!(closed.problem(), "in-use"),
            (422, 204) => {
                assert_eq!(set.faults(), [("/items/0/location_id".into(), "not_found".into())]);
            }
            other => panic!("{other:?}: {} {}", set.text, closed.text),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_the_branches_and_admins_alone_change_them() {
    let (_platform, clinic) = TestClinic::new().await;
    let path = format!("/locations/{}", clinic.location);
    for role in [Role::Doctor, Role::Receptionist, Role::Patient] {
        let caller = clinic.caller(role).await;

        caller.get(&path).await.expect(200);
        caller.get("/locations").await.expect(200);
        caller.post("/locations", &json!({ "name": "Mine" })).await.expect(403);
        caller.put(&path, "*", &json!({ "name": "Mine" })).await.expect(403);
        caller.delete(&path).await.expect(403);
    }
    clinic.anybody().get("/locations").await.expect(401);
    let admin = clinic.admin().await;
    admin.get("/locations/none").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_branch_names_every_fault() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let bad = json!({ "name": " ", "phone": "12", "time_zone": "Mars/Base", "colour": "blue" });

    let refused = admin.post("/locations", &bad).await.expect(422);

    let faults = [
        ("/name", "required"),
        ("/phone", "invalid_format"),
        ("/time_zone", "unknown_value"),
        ("/colour", "unknown_field"),
    ];
    assert_eq!(refused.faults(), faults.map(|(at, code)| (at.to_owned(), code.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_listed_page_by_page_and_opened_once_for_each_key() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    for name in ["B", "C"] {
        admin.post("/locations", &json!({ "name": name })).await.expect(201);
    }
    let body = json!({ "name": "D" });
    let first = admin.post_with_key("/locations", &body, "d-1").await.expect(201);
    let again = admin.post_with_key("/locations", &body, "d-1").await.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), "true");

    let one = admin.get("/locations?limit=3").await.expect(200);
    assert_eq!(one.body["items"].as_array().unwrap().len(), 3);
    let cursor = one.body["next_cursor"].as_str().unwrap();
    let two = admin.get(&format!("/locations?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(two.body["items"][0]["name"], "D");
    assert_eq!(two.body["next_cursor"], Value::Null);
    admin.get("/locations?cursor=no").await.expect(400);
}
