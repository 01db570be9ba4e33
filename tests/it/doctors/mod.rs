//! Doctors, their hours and their absences, through the API.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestClinic};

/// A Monday, 10:00 in Kolkata.
const TEN: &str = "2099-01-05T04:30:00Z";

fn newcomer() -> Value {
    json!({
        "full_name": "Dr Anjali Varma", "email": "anjali@shanti.example", "phone": "98470 11111",
        "registration_number": "TCMC 12345", "qualification": "BAMS, MD",
        "specialties": ["Panchakarma", "Kayachikitsa"], "languages": ["ml", "en"],
        "fee": { "currency": "INR", "amount_minor": 50000 }, "slot_minutes": 20, "capacity": 2,
    })
}

fn names(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().expect("items");
    items.iter().map(|item| item["full_name"].as_str().unwrap()).collect()
}

fn faults<const N: usize>(of: [(&str, &str); N]) -> [(String, String); N] {
    of.map(|(at, code)| (at.to_owned(), code.to_owned()))
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
        ("/specialties", "required"),
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

fn line(location: &str, weekday: i64, from: &str, to: &str, more: Value) -> Value {
    let mut line =
        json!({ "location_id": location, "weekday": weekday, "starts_at": from, "ends_at": to });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

async fn set_hours(admin: &Caller, doctor: &str, items: Value) -> Answer {
    admin.put(&format!("/doctors/{doctor}/availability"), "*", &json!({ "items": items })).await
}

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
        ("/items/3/valid_from", "invalid_format"),
        ("/items/3/ends_at", "out_of_range"),
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

fn leave(from: &str, to: &str) -> Value {
    json!({ "starts_at": from, "ends_at": to })
}

#[tokio::test(flavor = "multi_thread")]
async fn time_off_takes_slots_away_and_gives_them_back() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    let slots = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06", clinic.doctor);
    let tag =
        async || admin.get(&format!("/doctors/{}", clinic.doctor)).await.header("etag").to_owned();
    let before = tag().await;

    let morning = leave(TEN, "2099-01-05T11:00:00Z");
    let given = admin.post_with_key(&path, &morning, "k").await.expect(201);
    assert_eq!(given.header("location"), format!("/api/v1{path}/{}", given.id()));
    assert_eq!(given.header("etag"), tag().await);
    assert_ne!(given.header("etag"), before);
    let again = admin.post_with_key(&path, &morning, "k").await.expect(201);
    assert_eq!(again.body, given.body);
    assert_eq!(admin.get(&slots).await.body["items"].as_array().unwrap().len(), 3);
    let refused = admin.post("/appointments", &clinic.visit(TEN)).await.expect(422);
    assert_eq!(refused.faults(), faults([("/starts_at", "on_leave")]));

    let earlier = leave("2098-01-05T04:30:00Z", "2098-01-06T04:30:00Z");
    let earlier = admin.post(&path, &earlier).await.expect(201);
    let listed = admin.get(&path).await.expect(200);
    assert_eq!(listed.body["items"], json!([earlier.body, given.body]), "by time");
    let first = admin.get(&format!("{path}?limit=1")).await.expect(200);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("{path}?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(second.body["items"], json!([given.body]));

    let one = format!("{path}/{}", given.id());
    assert_eq!(admin.get(&one).await.expect(200).body, given.body);
    let stale = admin.request(Method::DELETE, &one).header("if-match", &before);
    admin.send(stale).await.expect(412);
    let other = admin.post("/doctors", &newcomer()).await.expect(201).id();
    let elsewhere = format!("/doctors/{other}/time-off/{}", given.id());
    admin.get(&elsewhere).await.expect(404);
    admin.delete(&elsewhere).await.expect(404);
    admin.delete(&one).await.expect(204);
    admin.delete(&one).await.expect(404);
    admin.get(&one).await.expect(404);
    assert_eq!(admin.get(&slots).await.body["items"].as_array().unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_off_over_visits_is_refused_until_somebody_says_what_becomes_of_them() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let cancelled = clinic.visit_of(clinic.patients[1], "2099-01-05T05:00:00Z");
    let cancelled = admin.post("/appointments", &cancelled).await.expect(201);
    admin.delete(&format!("/appointments/{}", cancelled.id())).await.expect(200);
    let mut over = leave("2099-01-05T04:59:00Z", "2099-01-05T08:00:00Z");

    let refused = admin.post_with_key(&path, &over, "k").await.expect(409);
    assert_eq!(refused.problem(), "bookings-affected");
    let bookings = refused.body["bookings"].as_array().unwrap();
    assert_eq!(bookings.len(), 1, "a cancelled visit waits for nobody: {}", refused.text);
    assert_eq!(bookings[0]["id"], visit.body["id"]);
    assert_eq!(bookings[0]["patient_name"], "Lakshmi Menon");
    admin.post(&path, &leave("2099-01-05T05:00:00Z", "2099-01-05T08:00:00Z")).await.expect(201);
    over["resolve"] = json!("move");
    let unknown = admin.post(&path, &over).await.expect(422);
    assert_eq!(unknown.faults(), faults([("/resolve", "unknown_value")]));

    over["resolve"] = json!("keep");
    admin.post_with_key(&path, &over, "k").await.expect(201);
    let visit = admin.get(&format!("/appointments/{}", visit.id())).await.expect(200);
    assert_eq!(visit.body["status"], "booked");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_booking_slips_in_while_time_off_is_given() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    for day in 10..20 {
        let at = format!("2099-01-{day}T04:30:00Z");
        let (visit, off) = (clinic.visit(&at), leave(&at, &format!("2099-01-{day}T05:00:00Z")));

        let (given, booked) =
            tokio::join!(admin.post(&path, &off), desk.post("/appointments", &visit));

        match (given.status.as_u16(), booked.status.as_u16()) {
            (201, 422) => assert_eq!(booked.faults(), faults([("/starts_at", "on_leave")])),
            (409, 201) => assert_eq!(given.problem(), "bookings-affected"),
            other => panic!("{other:?}: {} {}", given.text, booked.text),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_time_off_names_every_fault() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/doctors/{}/time-off", clinic.doctor);

    for (body, named) in [
        (
            json!({ "ends_at": "soon", "why": 1 }),
            vec![
                ("/starts_at", "required"),
                ("/ends_at", "invalid_format"),
                ("/why", "unknown_field"),
            ],
        ),
        (leave(TEN, TEN), vec![("/ends_at", "out_of_range")]),
        (leave("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), vec![("/ends_at", "in_the_past")]),
    ] {
        let refused = admin.post(&path, &body).await.expect(422);
        let named: Vec<_> = named.iter().map(|(at, code)| ((*at).into(), (*code).into())).collect();
        assert_eq!(refused.faults(), named);
    }
    let nobody = format!("/doctors/{}/time-off", nadi::ids::new_uuid());
    admin.post(&nobody, &json!({})).await.expect(404);
    admin.get(&nobody).await.expect(404);
}
