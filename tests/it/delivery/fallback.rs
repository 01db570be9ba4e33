//! Channels that fail, hang or say nothing: the next one's turn, in time, and each message once.

use std::time::{Duration, Instant};

use super::*;
use crate::support::providers::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_by_sms_within_the_policys_time_when_whatsapp_is_down() {
    for fault in [Fault::status(503), Fault::Hang, Fault::ResetBefore] {
        let scene = Scene::new().await;
        let hangs = matches!(fault, Fault::Hang);
        scene.meta.play_on("", fault);
        let asked_at = Instant::now();

        scene.ask_for_code(&scene.clinic).await;

        until("the SMS is there", async || !scene.sms.sent_to(LAKSHMI).is_empty()).await;
        let took = asked_at.elapsed();
        assert!(took < Duration::from_secs(6), "{took:?}");
        assert!(!hangs || took > Duration::from_secs(2), "WhatsApp had its time: {took:?}");
        scene.until_status(scene.newest().await, "sent").await;
        assert_eq!(scene.sms.sent().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_that_takes_over_costs_the_days_budget_too() {
    let scene = Scene::new().await;
    sqlx::query("update sign_in_settings set sms_daily_budget = 1")
        .execute(&mut scene.clinic.connection().await)
        .await
        .unwrap();
    let other = scene.patient_with("+919847019990").await;
    let email = format!("{}@mail.example", other.simple());
    scene.meta.play_on("", Fault::status(503));

    scene.ask_for_code(&scene.clinic).await;
    until("the day's only SMS", async || !scene.sms.sent_to(LAKSHMI).is_empty()).await;
    let asked = json!({ "identifier": "+919847019990" });
    scene.clinic.anybody().post("/auth/otp/request", &asked).await.expect(202);

    until("the other code goes by e-mail", async || {
        scene.mail.accepted().iter().any(|mail| mail.to == email)
    })
    .await;
    assert_eq!(scene.sms.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_down_it_goes_by_e_mail() {
    let scene = Scene::new().await;
    scene.meta.play_on("", Fault::status(503));
    scene.sms.play_on("", Fault::status(500));

    let message = scene.book(scene.clinic.patients[0], 0).await;

    scene.until_status(message, "sent").await;
    let to: Vec<String> = scene.mail.accepted().into_iter().map(|mail| mail.to).collect();
    assert!(to.contains(&"lakshmi@mail.example".to_owned()), "{to:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_whatsapp_is_remembered_and_its_next_message_goes_by_sms_at_once() {
    let scene = Scene::new().await;
    scene.meta.play(Fault::whatsapp(400, 131026));

    let first = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(first, "sent").await;
    let calls = scene.meta.calls().len();
    let second = scene.book(scene.clinic.patients[0], 1).await;
    until("both went by SMS", async || scene.sms.sent_to(LAKSHMI).len() == 2).await;

    scene.until_status(second, "sent").await;
    assert_eq!(scene.meta.calls().len(), calls, "WhatsApp was not asked again");
    let days = "select count(*) from unreachable_addresses where channel = 'whatsapp' and until between now() + interval '6 days' and now() + interval '8 days'";
    assert_eq!(scene.clinic.count(days).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_waits_and_goes_out_once_each_but_no_code_too_late() {
    let scene = Scene::with(SmtpServer::down()).await;
    // No receipt comes here: none is so late that the next channel has its turn.
    let mut settings = settings(PHONE, TOKEN);
    settings["policies"]["appointment"]["deliver_seconds"] = json!(600);
    scene.clinic.admin().await.put("/settings/messaging", "*", &settings).await.expect(200);
    scene.meta.play_on("", Fault::status(503));
    scene.sms.play_on("", Fault::status(500));
    scene.ask_for_code(&scene.clinic).await;
    let code = scene.newest().await;
    let mut bookings = Vec::new();
    for n in 0..4 {
        let patient = scene.patient_with(&format!("+91984701999{n}")).await;
        bookings.push(scene.book(patient, n).await);
    }
    // Some were tried in vain, others put off, for their providers were being left alone by then.
    until("none could go", async || {
        // Beside them the first admin's invitation waits, which goes by e-mail alone.
        let stuck = "select count(*) from outbox
                     where last_error is not null and purpose <> 'account.invited'";
        scene.clinic.count(stuck).await == 5
    })
    .await;
    // The code's five minutes are over, unless it gave up before.
    sqlx::query("update outbox set due_at = now() - interval '1 min', expires_at = now() - interval '1 s', leased_until = null where id = $1")
        .bind(code)
        .execute(&mut scene.clinic.connection().await)
        .await
        .unwrap();

    scene.meta.calm();
    scene.sms.calm();

    for message in &bookings {
        until("it is sent", async || scene.status(*message).await == "sent").await;
    }
    until("the code is done", async || ["expired", "failed"].contains(&&*scene.status(code).await))
        .await;
    let status = scene.status(code).await;
    let sent = scene.meta.sent().len() + scene.sms.sent().len();
    assert_eq!(sent, 4, "each once, and no code");
    let listed =
        scene.clinic.admin().await.get(&format!("/messages?status={status}")).await.expect(200);
    assert_eq!(listed.body["items"][0]["id"], code.to_string());
    assert!(!listed.text.contains("verification"), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_whose_provider_hangs_keeps_nobody_elses_code_waiting() {
    let scene = Scene::new().await;
    let arogya = scene.platform.clinic("arogya").await;
    scene.meta.knows_number("100000000000002", "token of the second clinic");
    scene.set_up(&arogya, "100000000000002", "token of the second clinic").await;
    scene.meta.play_on(&format!("/{PHONE}/"), Fault::Hang);
    for n in 0..12 {
        let patient = scene.patient_with(&format!("+9198470188{n:02}")).await;
        scene.book(patient, n).await;
    }
    until("they hang", async || scene.meta.calls().len() >= 2).await;
    let asked_at = Instant::now();

    scene.ask_for_code(&arogya).await;

    until("the code is there", async || {
        scene
            .meta
            .sent_to(LAKSHMI)
            .iter()
            .any(|sent| sent.content["template"]["name"] == "nadi_otp")
    })
    .await;
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{:?}", asked_at.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_clinic_sends_by_its_own_account() {
    let scene = Scene::new().await;
    let arogya = scene.platform.clinic("arogya").await;
    scene.meta.knows_number("100000000000002", "token of the second clinic");
    scene.set_up(&arogya, "100000000000002", "token of the second clinic").await;

    for clinic in [&scene.clinic, &arogya] {
        scene.ask_for_code(clinic).await;
    }

    until("both are sent", async || scene.meta.sent().len() == 2).await;
    for call in scene.meta.calls() {
        let own = match call.path().contains(PHONE) {
            true => format!("Bearer {TOKEN}"),
            false => "Bearer token of the second clinic".to_owned(),
        };
        assert_eq!(call.header("authorization"), own);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_parallel_all_channels_have_it_at_once_and_each_is_tried_again_by_itself() {
    let scene = Scene::new().await;
    let mut parallel = settings(PHONE, TOKEN);
    parallel["policies"]["appointment"] = json!({ "mode": "parallel", "channels": ["whatsapp", "sms", "email"], "accept_seconds": 30 });
    scene.clinic.admin().await.put("/settings/messaging", "*", &parallel).await.expect(200);
    scene.sms.play(Fault::status(503));

    let message = scene.book(scene.clinic.patients[0], 0).await;

    until("all three have it", async || {
        let mail = scene.mail.accepted().iter().any(|mail| mail.to == "lakshmi@mail.example");
        mail && scene.meta.sent().len() == 1 && scene.sms.sent_to(LAKSHMI).len() == 1
    })
    .await;
    until("it is done", async || {
        scene.clinic.count("select count(*) from outbox where done_at is null").await == 0
    })
    .await;
    assert_eq!(scene.status(message).await, "sent");
    assert_eq!(scene.meta.calls().len(), 1, "who has it is not asked again");
    assert_eq!(scene.sms.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_template_of_the_product_raises_the_alarm_and_the_next_channel_has_its_turn() {
    let scene = Scene::new().await;
    scene.meta.play(Fault::whatsapp(404, 132001));
    let alarms = || nadi::metrics::ALARMS.with_label_values(&["whatsapp_template"]).get();
    let before = alarms();

    let first = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(first, "sent").await;

    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 1);
    assert!(alarms() > before);
    let class = "select count(*) from outbox_attempts where channel = 'whatsapp' and class = 'template' and code = '132001'";
    assert_eq!(scene.clinic.count(class).await, 1);
    // The product's own text stays in use: whoever heeds the alarm has it registered, and it goes.
    let second = scene.book(scene.clinic.patients[1], 1).await;
    scene.until_status(second, "sent").await;
    assert_eq!(scene.meta.sent().len(), 1);
}
