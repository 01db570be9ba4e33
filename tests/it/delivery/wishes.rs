//! What people want: no more messages by a channel, none at night.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_stop_gets_no_more_by_whatsapp_but_codes() {
    let scene = Scene::new().await;
    for word in ["STOP", "बंद"] {
        let stop = Webhook::text(PHONE, LAKSHMI, word).signed(APP_SECRET);
        assert_eq!(scene.hear(&stop).await, 200);
    }
    until("it is noted", async || {
        scene.clinic.count("select count(*) from consents where not granted").await == 6
    })
    .await;

    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;

    assert!(scene.meta.sent().is_empty());
    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 1);
    scene.ask_for_code(&scene.clinic).await;
    until("the code came", async || scene.meta.sent_to(LAKSHMI).len() == 1).await;
    let path = format!("/patients/{}/consents", scene.clinic.patients[0]);
    let consents = scene.clinic.desk().await.get(&path).await.expect(200);
    assert_eq!(consents.body["items"][0]["source"], "whatsapp");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_none_at_all_gets_none_until_he_changes_his_mind() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let path = format!("/patients/{}/consents", scene.clinic.patients[0]);
    desk.post(&path, &json!({ "kind": "service", "granted": false })).await.expect(201);

    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "suppressed").await;
    desk.post(&path, &json!({ "kind": "service", "channel": "sms", "granted": true }))
        .await
        .expect(201);
    let admin = scene.clinic.admin().await;
    let again = admin.post(&format!("/messages/{message}/retry"), &Value::Null).await.expect(200);

    assert_eq!(again.body["status"], "queued");
    scene.until_status(message, "sent").await;
    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 1);
    let twice = admin.post(&format!("/messages/{message}/retry"), &Value::Null).await.expect(409);
    assert_eq!(twice.problem(), "not-retryable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_waits_for_the_end_of_the_quiet_hours() {
    let scene = Scene::new().await;
    let now = chrono::Utc::now().with_timezone(&chrono_tz::Asia::Kolkata);
    let time = |hours| (now + chrono::TimeDelta::hours(hours)).format("%H:%M").to_string();
    let mut quiet = settings(PHONE, TOKEN);
    quiet["policies"]["reminder"] = json!({
        "channels": ["whatsapp"], "accept_seconds": 60, "quiet_from": time(-1), "quiet_to": time(2),
    });
    scene.clinic.admin().await.put("/settings/messaging", "*", &quiet).await.expect(200);
    let booked = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(booked, "sent").await;
    let before = scene.meta.sent().len();

    for (key, expires_in) in [("late", "12 hours"), ("early", "1 hour")] {
        sqlx::query(
            "insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
             select gen_random_uuid(), 'appointment.reminder_24h', $2, subject_id, patient_id, now(), now() + $3::interval
             from outbox where id = $1",
        )
        .bind(booked)
        .bind(key)
        .bind(expires_in)
        .execute(&mut scene.clinic.connection().await)
        .await
        .unwrap();
    }
    hint(&scene, scene.clinic.id).await;

    until("one waits, and the other is of no use", async || {
        let waits = "select count(*) from outbox where dedupe_key = 'late' and status = 'queued'
                     and due_at between now() + interval '100 min' and now() + interval '145 min'";
        let dropped =
            "select count(*) from outbox where dedupe_key = 'early' and status = 'suppressed'";
        scene.clinic.count(waits).await == 1 && scene.clinic.count(dropped).await == 1
    })
    .await;
    assert_eq!(scene.meta.sent().len(), before);
}

/// As the protocol asks of hand-made SQL.
pub(super) async fn hint(scene: &Scene, clinic: ClinicId) {
    sqlx::query("update wakeups set hints = hints + 1, due_at = now() where clinic_id = $1")
        .bind(clinic)
        .execute(&mut scene.platform.server.superuser(&scene.platform.database).await)
        .await
        .unwrap();
}
