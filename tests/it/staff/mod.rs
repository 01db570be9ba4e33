//! Staff accounts, through the API.

use std::time::{Duration, Instant};

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, Options, PASSWORD, TestClinic, TestPlatform};

const TEN: &str = "2099-01-05T04:30:00Z";
const NEW_PASSWORD: &str = "a-lamp-before-the-dawn";

fn newcomer(role: &str) -> Value {
    json!({ "full_name": "Anjali Varma", "role": role, "email": "anjali@shanti.example", "phone": "+919847011111" })
}

/// The account of somebody whom the clinic came with.
async fn account(admin: &Caller, clinic: &TestClinic, role: Role) -> (String, Answer) {
    let path = format!("/users/{}", clinic.account(role));
    let answer = admin.get(&path).await.expect(200);
    (path, answer)
}

fn names(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().expect("items");
    items.iter().map(|item| item["full_name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_let_in_by_a_link_that_is_good_once() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("pharmacist")).await.expect(201);
    assert_eq!(made.header("location"), format!("/api/v1/users/{}", made.id()));
    assert_eq!(
        (&made.body["role"], &made.body["status"]),
        (&json!("pharmacist"), &json!("active"))
    );
    let url = made.body["set_password_url"].as_str().expect("there is no mail provider").to_owned();
    let path = format!("/users/{}", made.id());
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read.body["set_password_url"], Value::Null, "shown once");
    assert_eq!(read.header("etag"), made.header("etag"));
    letter_with(&platform, &url).await;

    let token = url.split_once("token=").unwrap().1;
    let anybody = clinic.anybody();
    let password = json!({ "token": token, "password": NEW_PASSWORD });
    anybody.post("/auth/set-password", &password).await.expect(204);
    let again = anybody.post("/auth/set-password", &password).await.expect(401);
    assert_eq!(again.problem(), "link-expired");
    let anjali = clinic.anybody().sign_in("ANJALI@shanti.example", NEW_PASSWORD).await;
    assert_eq!(anjali.get("/users/me").await.expect(200).body["id"], made.body["id"]);
    clinic.anybody().sign_in("+919847011111", NEW_PASSWORD).await;
    let log =
        "select count(*) from audit_log where action = 'account.created' and role = 'clinic_admin'";
    assert_eq!(clinic.count(log).await, 1);
}

/// Waits for the letter that carries a link.
async fn letter_with(platform: &TestPlatform, url: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let items = platform.inbox.items().await.unwrap();
        if items.iter().any(|item| item.to == "anjali@shanti.example" && item.body.contains(url)) {
            return;
        }
        assert!(Instant::now() < deadline, "no letter carries {url}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_kept_nowhere_that_could_be_read() {
    let options = Options { no_inbox: true, ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let clinic = platform.clinic("shanti").await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("therapist")).await.expect(201);

    let url = made.body["set_password_url"].as_str().unwrap();
    let token = url.split_once("token=").unwrap().1;
    let mut connection = clinic.connection().await;
    for table in ["outbox", "password_links", "users", "audit_log"] {
        let all = sqlx::AssertSqlSafe(format!("select to_json(t)::text from {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut connection).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!rows.iter().any(|row| row.contains(token) || row.contains(&hex)), "{table}");
    }
    let invited = "select count(*) from outbox where purpose = 'account.invited'";
    assert_eq!(clinic.count(invited).await, 2, "the newcomer, and the founder before");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_mail_provider_the_link_goes_by_mail_alone() {
    let smtp = ("NADI_SMTP_URL", "smtp://127.0.0.1:9".to_owned());
    let options = Options { settings: vec![smtp], ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let clinic = platform.clinic("shanti").await;
    let admin = clinic.admin().await;

    let made = admin.post("/users", &newcomer("therapist")).await.expect(201);

    assert!(!made.text.contains("set_password_url"), "{}", made.text);
    let invited = "select count(*) from outbox where purpose = 'account.invited'";
    assert_eq!(clinic.count(invited).await, 2, "the newcomer, and the founder before");
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
async fn whoever_is_suspended_is_out_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let (path, standing) = account(&admin, &clinic, Role::Receptionist).await;
    let status = format!("{path}/status");
    desk.get("/patients").await.expect(200);

    let suspended = json!({ "status": "suspended" });
    admin.send(admin.request(Method::PATCH, &status).json(&suspended)).await.expect(428);
    let out = admin.patch(&status, standing.header("etag"), &suspended).await.expect(200);
    assert_eq!(out.body["status"], "suspended");
    admin.patch(&status, standing.header("etag"), &suspended).await.expect(412);
    desk.get("/patients").await.expect(401);
    let refresh = json!({ "refresh_token": desk.refresh_token });
    desk.post("/auth/refresh", &refresh).await.expect(401);
    let login = json!({ "identifier": "receptionist@shanti.example", "password": PASSWORD });
    clinic.anybody().post("/auth/login", &login).await.expect(401);

    let again = admin.patch(&status, out.header("etag"), &suspended).await.expect(200);
    assert_eq!(again.header("etag"), out.header("etag"), "nothing changed");
    let back = json!({ "status": "active" });
    admin.patch(&status, again.header("etag"), &back).await.expect(200);
    clinic.anybody().post("/auth/login", &login).await.expect(200);
    desk.get("/patients").await.expect(401);
    let log = "select count(*) from audit_log where action = 'account.status_changed'";
    assert_eq!(clinic.count(log).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_does_not_shut_himself_out() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let (path, standing) = account(&admin, &clinic, Role::ClinicAdmin).await;
    let etag = standing.header("etag");
    let mut demoted = standing.body.clone();
    demoted["role"] = json!("receptionist");

    for refused in [
        admin.patch(&format!("{path}/status"), etag, &json!({ "status": "suspended" })).await,
        admin.patch(&format!("{path}/status"), etag, &json!({ "status": "banned" })).await,
        admin.put(&path, etag, &demoted).await,
        admin.delete(&path).await,
    ] {
        assert_eq!(refused.expect(409).problem(), "conflict");
    }
    admin.patch(&format!("{path}/status"), etag, &json!({ "status": "active" })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_suspend_each_other_one_stays() {
    let (_platform, clinic) = TestClinic::new().await;
    let new =
        json!({ "full_name": "Second", "role": "clinic_admin", "email": "second@shanti.example" });
    let second = clinic.admin().await.post("/users", &new).await.expect(201).id();
    let same_password =
        "update users set password_hash = o.password_hash from users o where o.role = 'receptionist'
           and users.email = 'second@shanti.example'";
    sqlx::query(same_password).execute(&mut clinic.connection().await).await.unwrap();
    let of_a = format!("/users/{}/status", clinic.account(Role::ClinicAdmin));
    let of_b = format!("/users/{second}/status");
    let (suspended, active) = (json!({ "status": "suspended" }), json!({ "status": "active" }));
    for _ in 0..20 {
        let a = clinic.admin().await;
        let b = clinic.anybody().sign_in("second@shanti.example", PASSWORD).await;
        tokio::join!(a.get("/users/me"), b.get("/users/me")); // both are known before they race

        let (by_a, by_b) =
            tokio::join!(a.patch(&of_b, "*", &suspended), b.patch(&of_a, "*", &suspended));

        match (by_a.status.as_u16(), by_b.status.as_u16()) {
            (200, 401 | 403) => a.patch(&of_b, "*", &active).await.expect(200),
            (401 | 403, 200) => b.patch(&of_a, "*", &active).await.expect(200),
            other => panic!("{other:?}: {} {}", by_a.text, by_b.text),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_holds_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let (path, standing) = account(&admin, &clinic, Role::Receptionist).await;
    let patient = json!({ "full_name": "Gopal Krishnan" });
    desk.post("/patients", &patient).await.expect(201);

    let mut wanted = json!({ "full_name": "Desk", "email": "receptionist@shanti.example" });
    wanted["role"] = json!("accountant");
    wanted["language"] = json!("ml");
    let changed = admin.put(&path, standing.header("etag"), &wanted).await.expect(200);
    assert_eq!(
        (&changed.body["role"], &changed.body["language"]),
        (&json!("accountant"), &json!("ml"))
    );
    desk.post("/patients", &patient).await.expect(403);

    wanted["role"] = json!("doctor");
    let doctor = admin.put(&path, changed.header("etag"), &wanted).await.expect(200);
    let profile = format!("/doctors/{}", doctor.id());
    let shown = desk.get(&profile).await.expect(200);
    assert_eq!((&shown.body["slot_minutes"], &shown.body["fee"]), (&json!(15), &Value::Null));
    let kept = json!({ "full_name": "No Role Given", "email": "receptionist@shanti.example" });
    let kept = admin.put(&path, doctor.header("etag"), &kept).await.expect(200);
    assert_eq!(kept.body["role"], "doctor");
    wanted["role"] = json!("receptionist");
    let back = admin.put(&path, kept.header("etag"), &wanted).await.expect(200);
    desk.get(&profile).await.expect(404);
    wanted["role"] = json!("doctor");
    admin.put(&path, back.header("etag"), &wanted).await.expect(200);
    desk.get(&profile).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_whom_patients_wait_for_does_not_vanish() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let (path, standing) = account(&admin, &clinic, Role::Doctor).await;
    let (status, etag) = (format!("{path}/status"), standing.header("etag"));
    let mut demoted = standing.body.clone();
    demoted["role"] = json!("therapist");

    for refused in [
        admin.patch(&status, etag, &json!({ "status": "suspended" })).await,
        admin.put(&path, etag, &demoted).await,
        admin.delete(&path).await,
        admin.delete(&format!("/doctors/{}", clinic.doctor)).await,
    ] {
        let refused = refused.expect(409);
        assert_eq!(refused.problem(), "bookings-affected");
        assert_eq!(refused.body["bookings"].as_array().unwrap().len(), 1);
        let booking = &refused.body["bookings"][0];
        assert_eq!((&booking["id"], &booking["starts_at"]), (&visit.body["id"], &json!(TEN)));
    }
    for resolve in ["cancel", "move"] {
        let body = json!({ "status": "suspended", "resolve": resolve });
        let refused = admin.patch(&status, etag, &body).await.expect(422);
        assert_eq!(refused.faults(), [("/resolve".into(), "unknown_value".into())]);
    }

    let kept = json!({ "status": "suspended", "resolve": "keep" });
    admin.patch(&status, etag, &kept).await.expect(200);
    let visit = admin.get(&format!("/appointments/{}", visit.id())).await.expect(200);
    assert_eq!(visit.body["status"], "booked");
    let other = clinic.visit_of(clinic.patients[1], "2099-01-05T05:00:00Z");
    let refused = admin.post("/appointments", &other).await.expect(422);
    assert_eq!(refused.faults(), [("/doctor_id".into(), "not_found".into())]);
    admin.delete(&format!("/appointments/{}", visit.id())).await.expect(200);
    admin.delete(&path).await.expect(204);
    admin.get(&format!("/doctors/{}", clinic.doctor)).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_booking_slips_in_while_a_doctor_is_suspended() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let status = format!("/users/{}/status", clinic.doctor);
    let (suspended, active) = (json!({ "status": "suspended" }), json!({ "status": "active" }));
    for day in 1..10 {
        let visit = clinic.visit(&format!("2099-02-0{day}T04:30:00Z"));

        let (out, booked) =
            tokio::join!(admin.patch(&status, "*", &suspended), desk.post("/appointments", &visit));

        match (out.status.as_u16(), booked.status.as_u16()) {
            (200, 422) => admin.patch(&status, "*", &active).await.expect(200),
            (409, 201) => desk.delete(&format!("/appointments/{}", booked.id())).await.expect(200),
            other => panic!("{other:?}: {} {}", out.text, booked.text),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_is_gone_and_the_address_is_free() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let (path, standing) = account(&admin, &clinic, Role::Receptionist).await;
    let stale = admin.request(Method::DELETE, &path).header("if-match", "\"99\"");
    admin.send(stale).await.expect(412);

    let current = admin.request(Method::DELETE, &path).header("if-match", standing.header("etag"));
    admin.send(current).await.expect(204);

    desk.get("/users/me").await.expect(401);
    admin.get(&path).await.expect(404);
    admin.delete(&path).await.expect(404);
    let mut next = newcomer("receptionist");
    next["email"] = json!("receptionist@shanti.example");
    admin.post("/users", &next).await.expect(201);
    let log = "select count(*) from audit_log where action = 'account.deleted'";
    assert_eq!(clinic.count(log).await, 1);
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
