//! What is known of a doctor, and to whom.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{TEN, faults, line, newcomer, set_hours};
use crate::support::{Answer, TestClinic};

fn names(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().expect("items");
    items.iter().map(|item| item["full_name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_comes_changes_and_leaves() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;

    let made = admin.post("/doctors", &newcomer()).await.expect(201);
    assert_eq!(made.header("location"), format!("/api/v1/doctors/{}", made.id()));
    assert_eq!(made.body["fee"], json!({ "currency": "INR", "amount_minor": 50000 }));
    assert_eq!(made.body["phone"], "+919847011111");
    assert!(made.body["set_password_url"].is_string());
    let path = format!("/doctors/{}", made.id());
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read.header("etag"), made.header("etag"));
    assert_eq!(read.body["set_password_url"], Value::Null, "shown once");
    let account = admin.get(&format!("/users/{}", made.id())).await.expect(200);
    assert_eq!(account.body["role"], "doctor");

    let mut wanted = made.body.clone(); // what made him may be sent back, with what is to change
    wanted["fee"] = Value::Null;
    wanted["specialties"] = json!(["Nadi Pariksha"]);
    wanted["full_name"] = json!("Dr Anjali Menon");
    wanted["email"] = json!("menon@shanti.example");
    let changed = admin.put(&path, made.header("etag"), &wanted).await.expect(200);
    assert_eq!(changed.body["fee"], Value::Null);
    assert_eq!(changed.body["full_name"], "Dr Anjali Menon");
    assert_eq!(admin.get(&path).await.expect(200).body, changed.body);
    let account = admin.get(&format!("/users/{}", made.id())).await.expect(200);
    assert_eq!(account.body["email"], "menon@shanti.example");
    admin.put(&path, made.header("etag"), &wanted).await.expect(412);
    admin.send(admin.request(Method::PUT, &path).json(&wanted)).await.expect(428);
    let mut banned = changed.body.clone();
    banned["status"] = json!("banned");
    let refused = admin.put(&path, changed.header("etag"), &banned).await.expect(422);
    assert_eq!(refused.faults(), faults([("/status", "read_only")]));

    let least = json!({ "full_name": "Dr Anjali Menon" });
    let least = admin.put(&path, changed.header("etag"), &least).await.expect(200);
    assert_eq!((&least.body["slot_minutes"], &least.body["capacity"]), (&json!(15), &json!(1)));
    assert_eq!(least.body["email"], "menon@shanti.example", "nobody on the staff is without one");
    let renamed = json!({ "full_name": "Dr A. Menon", "email": "menon@shanti.example" });
    let users = format!("/users/{}", made.id());
    admin.put(&users, "*", &renamed).await.expect(200);
    admin.put(&path, least.header("etag"), &wanted).await.expect(412); // the name is the account's

    let stale = admin.request(Method::DELETE, &path).header("if-match", least.header("etag"));
    admin.send(stale).await.expect(412);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    admin.get(&users).await.expect(404);
    admin.delete(&path).await.expect(404);
    admin.put(&path, "*", &json!({})).await.expect(404);
    for action in ["doctor.created", "doctor.changed", "account.deleted"] {
        let mut connection = clinic.connection().await;
        let noted: bool =
            sqlx::query_scalar("select exists(select from audit_log where action = $1)")
                .bind(action)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert!(noted, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_doctor_names_every_fault() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let bad = json!({
        "email": "x", "phone": "y", "specialties": [""], "languages": "ml",
        "fee": { "currency": "rupees", "amount_minor": -1 }, "slot_minutes": 4, "capacity": 51, "room": 1,
    });

    let refused = admin.post("/doctors", &bad).await.expect(422);
    let named = faults([
        ("/full_name", "required"),
        ("/email", "invalid_format"),
        ("/phone", "invalid_format"),
        ("/specialties/0", "required"),
        ("/languages", "wrong_type"),
        ("/fee/currency", "invalid_format"),
        ("/fee/amount_minor", "out_of_range"),
        ("/slot_minutes", "out_of_range"),
        ("/capacity", "out_of_range"),
        ("/room", "unknown_field"),
    ]);
    assert_eq!(refused.faults(), named);

    let mut taken = newcomer();
    taken["email"] = json!("Receptionist@shanti.example");
    let refused = admin.post("/doctors", &taken).await.expect(422);
    assert_eq!(refused.faults(), faults([("/email", "taken")]));
    let first = admin.post_with_key("/doctors", &newcomer(), "k").await.expect(201);
    let again = admin.post_with_key("/doctors", &newcomer(), "k").await.expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(names(&admin.get("/doctors").await).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctors_are_found_by_name_specialty_and_place() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let made = admin.post("/doctors", &newcomer()).await.expect(201);
    let branch = admin.post("/locations", &json!({ "name": "Branch" })).await.expect(201).id();
    let over = line(&branch, 1, "09:00", "10:00", json!({ "valid_to": "2020-01-01" }));
    set_hours(&admin, &made.id(), json!([over])).await.expect(200);
    let anjali = vec!["Dr Anjali Varma"];

    let find = async |query: &str, found: Vec<&str>| {
        let listed = admin.get(&format!("/doctors{query}")).await.expect(200);
        assert_eq!(names(&listed), found, "{query}");
    };
    find("?search=ANJA", anjali.clone()).await;
    find("?search=%25", vec![]).await;
    find("?specialty=panchakarma", anjali.clone()).await;
    find("?specialty=Pancha", vec![]).await;
    find(&format!("?location_id={}", clinic.location), vec!["doctor of shanti"]).await;
    find(&format!("?location_id={branch}"), vec![]).await;
    find("", vec!["doctor of shanti", "Dr Anjali Varma"]).await;
    let first = admin.get("/doctors?limit=1").await.expect(200);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    find(&format!("?limit=1&cursor={cursor}"), anjali).await;
    let given = line(&branch, 1, "09:00", "10:00", json!({}));
    set_hours(&admin, &made.id(), json!([given])).await.expect(200);
    find(&format!("?location_id={branch}"), vec!["Dr Anjali Varma"]).await;

    let mut other = newcomer();
    other["email"] = json!("other@shanti.example");
    other["phone"] = Value::Null;
    other["specialties"] = json!(["panchakarma", "Bala Chikitsa"]);
    let other = admin.post("/doctors", &other).await.expect(201);
    let known = admin.get("/doctors/specializations").await.expect(200);
    let listed = ["Bala Chikitsa", "Kayachikitsa", "Panchakarma"];
    let mut shown: Vec<String> = serde_json::from_value(known.body["items"].clone()).unwrap();
    shown[2] = shown[2].replace("panchakarma", "Panchakarma"); // each once, however it is capitalised
    assert_eq!(shown, listed);
    let banned = json!({ "status": "banned" });
    admin.patch(&format!("/users/{}/status", other.id()), "*", &banned).await.expect(200);
    let known = admin.get("/doctors/specializations").await.expect(200);
    assert_eq!(known.body["items"], json!(["Kayachikitsa", "Panchakarma"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_see_whom_they_may_book_and_no_private_matters() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, patient) = (clinic.admin().await, clinic.patient().await);
    let made = admin.post("/doctors", &newcomer()).await.expect(201);
    let path = format!("/doctors/{}", made.id());
    let leave = json!({ "starts_at": TEN, "ends_at": "2099-01-06T04:30:00Z", "reason": "surgery" });
    let leave = admin.post(&format!("{path}/time-off"), &leave).await.expect(201);
    let absence = format!("{path}/time-off/{}", leave.id());

    let shown = patient.get(&path).await.expect(200);
    assert_eq!((&shown.body["email"], &shown.body["phone"]), (&Value::Null, &Value::Null));
    assert_eq!(shown.body["registration_number"], "TCMC 12345");
    let listed = patient.get("/doctors?search=anjali").await.expect(200);
    assert_eq!(listed.body["items"][0]["email"], Value::Null);
    let away = patient.get(&format!("{path}/time-off")).await.expect(200);
    assert_eq!(away.body["items"][0]["reason"], "");
    assert_eq!(patient.get(&absence).await.expect(200).body["reason"], "");
    assert_eq!(clinic.desk().await.get(&absence).await.expect(200).body["reason"], "surgery");

    let suspended = json!({ "status": "suspended" });
    admin.patch(&format!("/users/{}/status", made.id()), "*", &suspended).await.expect(200);
    assert_eq!(names(&patient.get("/doctors").await.expect(200)), ["doctor of shanti"]);
    assert_eq!(names(&admin.get("/doctors").await.expect(200)).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctors_do_not_write_their_own_hours() {
    let (_platform, clinic) = TestClinic::new().await;
    let path = format!("/doctors/{}", clinic.doctor);
    for role in [Role::Doctor, Role::Receptionist, Role::Patient] {
        let caller = clinic.caller(role).await;

        for read in ["", "/availability", "/time-off"] {
            caller.get(&format!("{path}{read}")).await.expect(200);
        }
        caller.get("/doctors/specializations").await.expect(200);
        caller.post("/doctors", &newcomer()).await.expect(403);
        caller.put(&path, "*", &json!({})).await.expect(403);
        caller.delete(&path).await.expect(403);
        caller.put(&format!("{path}/availability"), "*", &json!({})).await.expect(403);
        caller.post(&format!("{path}/time-off"), &json!({})).await.expect(403);
        caller.delete(&format!("{path}/time-off/{}", clinic.doctor)).await.expect(403);
    }
}
