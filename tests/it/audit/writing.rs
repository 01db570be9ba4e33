//! What is done leaves a row: also what was refused, and never with what somebody typed.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_is_on_record_without_what_was_typed() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let known = "receptionist@shanti.example";
    for (identifier, password) in [
        (known, "wrong wrong wrong"),
        ("my secret by mistake", PASSWORD),
        (known, "wrong again again"),
    ] {
        let given = json!({ "identifier": identifier, "password": password });
        anybody.post("/auth/login", &given).await.expect(401);
    }

    type Row = (Option<uuid::Uuid>, Option<String>, Value, Option<uuid::Uuid>);
    let rows: Vec<Row> = sqlx::query_as(
        "select entity_id, host(address), details, account_id from audit_log where action = 'session.refused' order by id",
    )
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap();
    assert_eq!(rows.len(), 3);
    let account = clinic.account(nadi::auth::Role::Receptionist).0;
    assert_eq!(rows[0].0, Some(account), "whose it was, where that is known");
    assert_eq!(rows[1].0, None);
    assert_eq!(rows[2].2["failures"], 2);
    assert_eq!(rows[0].2["identifier_mac"], rows[2].2["identifier_mac"]);
    assert_ne!(rows[0].2["identifier_mac"], rows[1].2["identifier_mac"]);
    assert!(rows.iter().all(|row| row.1.as_deref() == Some("127.0.0.1") && row.3.is_none()));
    let said = "select count(*) from audit_log where audit_log::text ~ 'secret by mistake|wrong|receptionist@'";
    assert_eq!(clinic.count(said).await, 0);
}

/// Every operation that changes something at a clinic, once, and the row that it leaves.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_its_row() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let (doctor, location) = (clinic.doctor, clinic.location);
    let made = async |path: &str, body: Value| admin.post(path, &body).await.expect(201);
    let patient = made("/patients", json!({ "full_name": "Anand Kurup" })).await.id();
    let renamed = json!({ "full_name": "Anand K. Kurup" });
    admin.put(&format!("/patients/{patient}"), "*", &renamed).await.expect(200);
    admin.delete(&format!("/patients/{patient}")).await.expect(204);
    let visit = made("/appointments", clinic.visit("2099-01-05T04:30:00Z")).await.id();
    let visit = format!("/appointments/{visit}");
    admin.put(&visit, "*", &clinic.visit("2099-01-05T05:30:00Z")).await.expect(200);
    let mut reason = clinic.visit("2099-01-05T05:30:00Z");
    reason["reason"] = json!("a cough");
    admin.put(&visit, "*", &reason).await.expect(200);
    admin.delete(&visit).await.expect(200);
    let branch = made("/locations", json!({ "name": "Second" })).await.id();
    let branch = format!("/locations/{branch}");
    admin.put(&branch, "*", &json!({ "name": "Third" })).await.expect(200);
    admin.delete(&branch).await.expect(204);
    let hand =
        json!({ "full_name": "A Hand", "role": "therapist", "email": "hand@shanti.example" });
    let hand = format!("/users/{}", made("/users", hand).await.id());
    let changed =
        json!({ "full_name": "The Hand", "role": "therapist", "email": "hand@shanti.example" });
    admin.put(&hand, "*", &changed).await.expect(200);
    admin
        .patch(&format!("{hand}/status"), "*", &json!({ "status": "suspended" }))
        .await
        .expect(200);
    admin.delete(&hand).await.expect(204);
    let vaidya = json!({ "full_name": "A Vaidya", "email": "vaidya@shanti.example" });
    let vaidya = format!("/doctors/{}", made("/doctors", vaidya.clone()).await.id());
    let hours = json!({ "items": [{ "location_id": location, "weekday": 1, "starts_at": "09:00", "ends_at": "12:00" }] });
    admin.put(&format!("{vaidya}/availability"), "*", &hours).await.expect(200);
    let away = json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" });
    let away = made(&format!("/doctors/{doctor}/time-off"), away).await.id();
    admin.delete(&format!("/doctors/{doctor}/time-off/{away}")).await.expect(204);
    admin.post("/auth/logout", &Value::Null).await.expect(204);
    clinic.admin().await.post("/auth/logout-all", &Value::Null).await.expect(204);

    let actions: Vec<String> = sqlx::query_scalar(
        "select distinct action from audit_log where action !~ 'read|listed' order by action",
    )
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap();
    assert_eq!(
        actions,
        [
            "account.changed",
            "account.created",
            "account.deleted",
            "account.status_changed",
            "appointment.booked",
            "appointment.cancelled",
            "appointment.changed",
            "appointment.moved",
            "doctor.created",
            "doctor.hours_changed",
            "doctor.time_off_given",
            "doctor.time_off_taken_back",
            "location.changed",
            "location.created",
            "location.deleted",
            "patient.changed",
            "patient.created",
            "patient.deleted",
            "session.all_ended",
            "session.ended",
            "session.opened",
        ]
    );
    let whose = "select count(*) from audit_log where request_id is null and role is distinct from 'platform'";
    assert_eq!(clinic.count(whose).await, 0, "each says under which request");
}
