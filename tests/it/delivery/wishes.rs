//! What people want: no more messages by a channel, another channel first, none at night.

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
    let noted = "select count(*) from consents c join audit_log l on l.entity_id = c.id and l.about_id = c.patient_id
                 where l.action = 'consent.noted' and l.role = 'platform' and l.details ->> 'kind' = c.kind";
    assert_eq!(scene.clinic.count(noted).await, 6);

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

const PREFERENCES: &str = "/users/me/preferences";

#[tokio::test(flavor = "multi_thread")]
async fn the_channel_that_a_patient_wants_first_has_the_first_turn_but_for_codes() {
    let scene = Scene::new().await;
    let patient = scene.clinic.patient().await;
    let wants = json!({ "channels": { "order": ["sms"] } });
    patient.put(PREFERENCES, "*", &wants).await.expect(200);

    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;

    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 1);
    assert!(scene.meta.sent().is_empty());
    scene.ask_for_code(&scene.clinic).await;
    until("the code came as the clinic sends it", async || scene.meta.sent().len() == 1).await;
    // Who has said nothing has it as the clinic does it.
    let other = scene.book(scene.clinic.patients[1], 1).await;
    scene.until_status(other, "sent").await;
    assert_eq!((scene.meta.sent().len(), scene.sms.sent().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_patient_does_not_want_by_its_preferences_is_not_sent() {
    let scene = Scene::new().await;
    let patient = scene.clinic.patient().await;
    let wants = |service: bool| json!({ "channels": { "service": service } });
    patient.put(PREFERENCES, "*", &wants(false)).await.expect(200);

    let unwanted = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(unwanted, "suppressed").await;

    patient.put(PREFERENCES, "*", &wants(false)).await.expect(200);
    patient.put(PREFERENCES, "*", &wants(true)).await.expect(200);
    let wanted = scene.book(scene.clinic.patients[0], 1).await;
    scene.until_status(wanted, "sent").await;
    let path = format!("/patients/{}/consents", scene.clinic.patients[0]);
    let consents = scene.clinic.desk().await.get(&path).await.expect(200);
    let said: Vec<_> = consents.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["kind"].clone(), one["granted"].clone(), one["source"].clone()))
        .collect();
    let word = |granted: bool| (json!("service"), json!(granted), json!("preferences"));
    assert_eq!(said, [word(true), word(false)], "only a change is a new word");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_desk_notes_is_what_the_patient_sees_and_can_take_back() {
    let scene = Scene::new().await;
    let (desk, patient) = (scene.clinic.desk().await, scene.clinic.patient().await);
    let path = format!("/patients/{}/consents", scene.clinic.patients[0]);
    desk.post(&path, &json!({ "kind": "service", "granted": false })).await.expect(201);
    let seen = patient.get(PREFERENCES).await.expect(200);
    assert_eq!(seen.body["channels"]["service"], false);

    patient.put(PREFERENCES, "*", &json!({})).await.expect(200);

    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;
}

/// A reminder of a booking's visit, due now.
async fn remind(scene: &Scene, booked: Uuid, key: &str, expires_in: &str) {
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

#[tokio::test(flavor = "multi_thread")]
async fn it_is_night_where_the_patient_says_to_be() {
    let scene = Scene::new().await;
    let now = chrono::Utc::now().with_timezone(&chrono_tz::Asia::Kolkata);
    let time = |hours| (now + chrono::TimeDelta::hours(hours)).format("%H:%M").to_string();
    let mut quiet = settings(PHONE, TOKEN);
    quiet["policies"]["reminder"] = json!({
        "channels": ["sms"], "accept_seconds": 60, "quiet_from": time(-1), "quiet_to": time(1),
    });
    scene.clinic.admin().await.put("/settings/messaging", "*", &quiet).await.expect(200);
    let [lakshmi, prakash] = scene.clinic.patients;
    let (hers, his) = (scene.book(lakshmi, 0).await, scene.book(prakash, 1).await);
    scene.until_status(hers, "sent").await;
    scene.until_status(his, "sent").await;
    // Far from the clinic: it is day there.
    let patient = scene.clinic.patient().await;
    patient.put(PREFERENCES, "*", &json!({ "time_zone": "America/New_York" })).await.expect(200);

    remind(&scene, hers, "hers", "12 hours").await;
    remind(&scene, his, "his", "12 hours").await;
    hint(&scene, scene.clinic.id).await;

    until("hers came, and his waits", async || {
        let came = "select count(*) from outbox where dedupe_key = 'hers' and status = 'sent'";
        let waits = "select count(*) from outbox where dedupe_key = 'his' and status = 'queued' and last_error = 'quiet hours'";
        scene.clinic.count(came).await == 1 && scene.clinic.count(waits).await == 1
    })
    .await;
    // What it says of the time is the clinic's all the same: 09:00 there.
    let sent = scene.sms.sent_to(LAKSHMI);
    let reminder = sent.iter().find(|sent| sent.content.to_string().contains("reminder_24h"));
    let said = reminder.expect("the reminder").content.to_string();
    assert!(said.contains("09:00"), "{said}");
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
        remind(&scene, booked, key, expires_in).await;
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
