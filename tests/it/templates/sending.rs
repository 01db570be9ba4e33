//! From an intent to words in somebody's language.

use std::time::{Duration, Instant};

use nadi::messaging::inbox::Item;
use serde_json::json;

use crate::support::{Caller, TestClinic, TestPlatform};

const TEN: &str = "2099-01-05T04:30:00Z";

/// Waits for the message to this address that says this.
async fn told(platform: &TestPlatform, to: &str, says: &str) -> Item {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let items = platform.inbox.items().await.unwrap();
        let found = items.into_iter().find(|item| item.to == to && item.body.contains(says));
        if let Some(item) = found {
            return item;
        }
        assert!(Instant::now() < deadline, "nobody told {to}: {says}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// From now on this clinic writes letters.
async fn by_email(admin: &Caller) {
    let email = json!({ "channels": ["email"] });
    let policies = json!({ "policies": { "appointment": email, "reminder": email } });
    admin.put("/settings/messaging", "*", &policies).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_told_in_the_patients_language_and_the_clinics_words() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, admin) = (clinic.desk().await, clinic.admin().await);
    by_email(&admin).await;
    sqlx::query("update patients set language = 'ml' where id = $1")
        .bind(clinic.patients[0])
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let said = told(&platform, "lakshmi@mail.example", "2099 ജനുവരി 5, തിങ്കളാഴ്ച, 10:00").await;
    assert_eq!(said.subject, "താങ്കളുടെ അപ്പോയിന്റ്മെന്റ് ബുക്ക് ചെയ്തു · shanti clinic");
    assert!(said.body.starts_with("പ്രിയപ്പെട്ട Lakshmi,"), "{}", said.body);

    let own = json!({ "subject": "{clinic}", "body": "{given_name}: ഇനി {when}" });
    let path = "/messages/templates/appointment.moved?channel=email&language=ml";
    admin.put(path, "*", &own).await.expect(200);
    let path = format!("/appointments/{}", visit.id());
    let moved = clinic.visit("2099-01-05T05:00:00Z");
    let visit = desk.put(&path, visit.header("etag"), &moved).await.expect(200);
    let said = told(&platform, "lakshmi@mail.example", "10:30").await;
    assert_eq!(said.body.trim(), "Lakshmi: ഇനി 2099 ജനുവരി 5, തിങ്കളാഴ്ച, 10:30");

    admin
        .delete("/messages/templates/appointment.moved?channel=email&language=ml")
        .await
        .expect(204);
    let moved = clinic.visit("2099-01-05T05:30:00Z");
    desk.put(&path, visit.header("etag"), &moved).await.expect(200);
    let said = told(&platform, "lakshmi@mail.example", "11:00").await;
    assert!(said.body.starts_with("പ്രിയപ്പെട്ട Lakshmi,"), "{}", said.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_is_for_a_visit_that_is_still_to_come() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    by_email(&clinic.admin().await).await;
    let remind = async |visit: &str, purpose: &str| {
        sqlx::query(
            "insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
             select gen_random_uuid(), $2, $2 || ':' || id, id, patient_id, now(), now() + interval '1 hour'
             from appointments where id = $1",
        )
        .bind(visit.parse::<uuid::Uuid>().unwrap())
        .bind(purpose)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    };
    let kept = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let lost = desk.post("/appointments", &clinic.visit("2099-01-05T05:00:00Z")).await.expect(201);
    desk.delete(&format!("/appointments/{}", lost.id())).await.expect(200);

    remind(&kept.id(), "appointment.reminder_24h").await;
    remind(&lost.id(), "appointment.reminder_2h").await;
    let other = clinic.visit_of(clinic.patients[1], "2099-01-05T06:00:00Z");
    desk.post("/appointments", &other).await.expect(201); // wakes the worker

    let said = told(&platform, "lakshmi@mail.example", "we remind you of your appointment").await;
    assert_eq!(said.subject, "A reminder of your appointment · shanti clinic");
    let aside = "select count(*) from outbox where purpose = 'appointment.reminder_2h' and status = 'suppressed'
                 and last_error = 'the visit has changed since'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while clinic.count(aside).await == 0 {
        assert!(Instant::now() < deadline, "the reminder of a cancelled visit still waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
