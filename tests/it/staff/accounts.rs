//! Finding accounts, making them, changing them.

use nadi::auth::Role;
use serde_json::{Value, json};

use super::{account, newcomer};
use crate::support::{Answer, TestClinic};

fn names(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().expect("items");
    items.iter().map(|item| item["full_name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_are_found_by_role_status_and_part_of_a_name() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let made = admin.post("/users", &newcomer("pharmacist")).await.expect(201);
    let suspended = json!({ "status": "suspended" });
    let path = format!("/users/{}/status", made.id());
    admin.patch(&path, made.header("etag"), &suspended).await.expect(200);

    for (query, found) in [
        ("?search=ANJ", vec!["Anjali Varma"]),
        ("?search=anjali%40shanti", vec!["Anjali Varma"]),
        ("?search=100%25", vec![]),
        ("?status=suspended", vec!["Anjali Varma"]),
        ("?role=pharmacist", vec!["pharmacist of shanti", "Anjali Varma"]),
        ("?role=pharmacist&status=active", vec!["pharmacist of shanti"]),
    ] {
        let listed = admin.get(&format!("/users{query}")).await.expect(200);
        assert_eq!(names(&listed), found, "{query}");
    }
    let all = admin.get("/users").await.expect(200);
    assert_eq!(names(&all).len(), 8, "six roles, the founder and the newcomer; no patient");
    let mut paged = Vec::new();
    let mut path = "/users?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        paged.extend(page.body["items"].as_array().unwrap().clone());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/users?limit=3&cursor={cursor}");
    }
    assert_eq!(json!(paged), all.body["items"]);
    let refused = admin.get("/users?role=patient&colour=blue").await.expect(422);
    let faults = [("role", "unknown_value"), ("colour", "unknown_field")];
    assert_eq!(refused.faults(), faults.map(|(at, code)| (at.to_owned(), code.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_accounts_are_not_among_the_staff() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/users/{}", clinic.account(Role::Patient));

    admin.get(&path).await.expect(404);
    admin.put(&path, "*", &json!({})).await.expect(404);
    admin.patch(&format!("{path}/status"), "*", &json!({ "status": "banned" })).await.expect(404);
    admin.delete(&path).await.expect(404);
    let made = admin.post("/users", &newcomer("patient")).await.expect(422);
    assert_eq!(made.faults(), [("/role".into(), "unknown_value".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_signs_in_with_is_taken() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    admin.post("/users", &newcomer("pharmacist")).await.expect(201);
    let mut same = newcomer("doctor");
    same["email"] = json!("Anjali@SHANTI.example");
    let both = [("/email".into(), "taken".into()), ("/phone".into(), "taken".into())];

    let again = admin.post("/users", &same).await.expect(422);
    assert_eq!(again.faults(), both);
    let (path, standing) = account(&admin, &clinic, Role::Receptionist).await;
    let mut wanted = standing.body.clone();
    wanted["email"] = same["email"].clone();
    wanted["phone"] = same["phone"].clone();
    let changed = admin.put(&path, standing.header("etag"), &wanted).await.expect(422);
    assert_eq!(changed.faults(), both);
    let desk = clinic.desk().await;
    let mine = json!({ "full_name": "Desk", "phone": "+919847011111" });
    let own = desk.put("/users/me", "*", &mine).await.expect(422);
    assert_eq!(own.faults(), [("/phone".into(), "taken".into())]);
    // A patient may have the same number: a family shares it.
    let mut family = newcomer("accountant");
    family["email"] = json!("family@shanti.example");
    family["phone"] = json!("+919847012345");
    admin.post("/users", &family).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_take_the_same_address_at_once_one_has_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    for round in 0..10 {
        let mut wanted = newcomer("pharmacist");
        wanted["email"] = json!(format!("round-{round}@shanti.example"));
        wanted["phone"] = Value::Null;

        let (a, b) = tokio::join!(admin.post("/users", &wanted), admin.post("/users", &wanted));

        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort();
        assert_eq!(statuses, [201, 422]);
        let loser = if a.status == 422 { a } else { b };
        assert_eq!(loser.faults(), [("/email".into(), "taken".into())]);
    }
    assert_eq!(clinic.count("select count(*) from outbox o join users u on u.id = o.user_id where u.email not like 'founder@%'").await, 10, "losers are not invited");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_changes_his_own_name_and_language() {
    let (_platform, clinic) = TestClinic::new().await;
    for role in [Role::Receptionist, Role::Patient, Role::ClinicAdmin] {
        let caller = clinic.caller(role).await;
        let own = caller.get("/users/me").await.expect(200);
        let mut wanted = own.body.clone();
        wanted["full_name"] = json!("Another Name");
        wanted["language"] = json!("ml");

        let changed = caller.put("/users/me", own.header("etag"), &wanted).await.expect(200);
        assert_eq!(changed.body["full_name"], "Another Name");
        assert_eq!(changed.body["role"], role.as_str());
        let me = caller.get("/auth/me").await.expect(200);
        assert_eq!(me.body["user"]["full_name"], "Another Name");
        caller.put("/users/me", own.header("etag"), &wanted).await.expect(412);

        let mut wanted = changed.body.clone();
        wanted["role"] = json!("clinic_owner");
        wanted["email"] = json!("other@shanti.example");
        let refused = caller.put("/users/me", changed.header("etag"), &wanted).await.expect(422);
        let faults = [("/email".into(), "read_only".into()), ("/role".into(), "read_only".into())];
        assert_eq!(sorted(refused.faults()), faults);
    }
    let desk = clinic.desk().await;
    let mine = json!({ "full_name": "Desk", "phone": "+919847099999" });
    let changed = desk.put("/users/me", "*", &mine).await.expect(200);
    assert_eq!(changed.body["phone"], "+919847099999");
    let patient = clinic.patient().await;
    let refused = patient.put("/users/me", "*", &mine).await.expect(422);
    assert_eq!(refused.faults(), [("/phone".into(), "read_only".into())]);
}

fn sorted(mut faults: Vec<(String, String)>) -> Vec<(String, String)> {
    faults.sort();
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_read_and_admins_alone_write() {
    let (_platform, clinic) = TestClinic::new().await;
    let path = format!("/users/{}", clinic.account(Role::Therapist));
    for (role, read) in [(Role::Doctor, 200), (Role::Accountant, 200), (Role::Patient, 403)] {
        let caller = clinic.caller(role).await;

        caller.get("/users").await.expect(read);
        caller.get(&path).await.expect(read);
        caller.post("/users", &newcomer("doctor")).await.expect(403);
        caller.put(&path, "*", &json!({})).await.expect(403);
        caller.patch(&format!("{path}/status"), "*", &json!({})).await.expect(403);
        caller.delete(&path).await.expect(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_account_names_every_fault_and_a_key_lets_in_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let bad = json!({ "role": "surgeon", "email": "nowhere", "phone": "1", "language": "English", "id": 1 });

    let refused = admin.post("/users", &bad).await.expect(422);
    let faults = [
        ("/full_name", "required"),
        ("/role", "unknown_value"),
        ("/email", "invalid_format"),
        ("/phone", "invalid_format"),
        ("/language", "invalid_format"),
        ("/id", "unknown_field"),
    ];
    assert_eq!(refused.faults(), faults.map(|(at, code)| (at.to_owned(), code.to_owned())));

    let first = admin.post_with_key("/users", &newcomer("doctor"), "k-1").await.expect(201);
    let again = admin.post_with_key("/users", &newcomer("doctor"), "k-1").await.expect(201);
    assert_eq!(first.body, again.body);
    let mut sent_back = first.body.clone();
    sent_back["full_name"] = json!("Dr Anjali Varma");
    let path = format!("/users/{}", first.id());
    let changed = admin.put(&path, first.header("etag"), &sent_back).await.expect(200);
    assert_eq!(changed.body["full_name"], "Dr Anjali Varma");
}
