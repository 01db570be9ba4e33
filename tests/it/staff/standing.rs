//! Suspended, removed, given another role.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{account, newcomer};
use crate::support::{PASSWORD, TestClinic};

const TEN: &str = "2099-01-05T04:30:00Z";

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
