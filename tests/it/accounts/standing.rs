//! Who is out, is out at once: staff whose sessions an admin ends, patients whose account is suspended.

use nadi::auth::Role;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestClinic, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_signs_somebody_out_everywhere() {
    let (platform, clinic) = TestClinic::new().await;
    let other_instance = platform.another_instance().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let there = desk.at(&other_instance.address, &clinic.host);
    there.get("/auth/me").await.expect(200);
    let path = format!("/users/{}/end-sessions", clinic.account(Role::Receptionist));
    desk.post(&path, &Value::Null).await.expect(403);

    admin.post(&path, &Value::Null).await.expect(204);

    desk.get("/auth/me").await.expect(401);
    until("the other instance has heard", async || there.get("/auth/me").await.status == 401).await;
    let refresh = json!({ "refresh_token": desk.refresh_token });
    desk.post("/auth/refresh", &refresh).await.expect(401);
    clinic.anybody().sign_in("receptionist@shanti.example", PASSWORD).await;
    let patients = format!("/users/{}/end-sessions", clinic.account(Role::Patient));
    admin.post(&patients, &Value::Null).await.expect(404);
    let log = "select count(*) from audit_log where action = 'session.all_ended' and role = 'clinic_admin'";
    assert_eq!(clinic.count(log).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_who_is_suspended_is_out_and_gets_no_code() {
    let (platform, clinic) = TestClinic::new().await;
    let (admin, desk, patient) =
        (clinic.admin().await, clinic.desk().await, clinic.patient().await);
    let path = format!("/patients/{}/account-status", clinic.patients[0]);
    let etag =
        admin.get(&format!("/patients/{}", clinic.patients[0])).await.header("etag").to_owned();
    for status in ["suspended", "banned"] {
        let patient = clinic.patient().await;
        patient.get("/auth/me").await.expect(200);
        desk.patch(&path, &etag, &json!({ "status": status })).await.expect(403);

        let set = admin.patch(&path, &etag, &json!({ "status": status })).await.expect(200);

        assert_eq!(set.body, json!({ "status": status }));
        patient.get("/auth/me").await.expect(401);
        let back = json!({ "status": "active" });
        admin.patch(&path, &etag, &back).await.expect(200);
    }
    admin.patch(&path, &etag, &json!({ "status": "banned" })).await.expect(200);
    let phone = json!({ "identifier": "+919847012345" });
    clinic.anybody().post("/auth/otp/request", &phone).await.expect(202);
    until("all are looked at", async || {
        clinic.count("select count(*) from outbox where done_at is null").await == 0
    })
    .await;
    let sent = platform.inbox.items().await.unwrap();
    assert!(!sent.iter().any(|item| item.to == "+919847012345"), "a code for nobody");
    patient.get("/auth/me").await.expect(401);
    // Who never signed in is kept out as well.
    let other = format!("/patients/{}/account-status", clinic.patients[1]);
    admin.patch(&other, "*", &json!({ "status": "banned" })).await.expect(200);
    let banned = "select count(*) from users where role = 'patient' and status = 'banned'";
    assert_eq!(clinic.count(banned).await, 2);
}
