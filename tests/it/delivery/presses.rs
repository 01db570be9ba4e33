//! Buttons under WhatsApp messages: they do what the link does, once each, and who presses in vain is told.

use super::*;

/// Books, and gives the visit's path with what its message's two buttons carry.
async fn asked(scene: &Scene, n: i64) -> (String, Vec<String>) {
    let message = scene.book(scene.clinic.patients[0], n).await;
    scene.until_status(message, "sent").await;
    let visit: Uuid = sqlx::query_scalar("select subject_id from outbox where id = $1")
        .bind(message)
        .fetch_one(&mut scene.clinic.connection().await)
        .await
        .unwrap();
    let sent = scene.meta.sent_to(LAKSHMI).pop().unwrap();
    let text = sent.content.to_string();
    let payloads = ["confirm:", "cancel:"].map(|action| {
        let (_, rest) = text.split_once(&format!("\"{action}")).expect("a button");
        format!("{action}{}", rest.split('"').next().unwrap())
    });
    (format!("/appointments/{visit}"), payloads.into())
}

async fn until_worked_on(scene: &Scene) {
    until("the press is worked on", async || {
        scene.clinic.count("select count(*) from inbound_events where handled_at is null").await
            == 0
    })
    .await;
}

async fn press(scene: &Scene, payload: &str) -> Webhook {
    let button = Webhook::button(PHONE, LAKSHMI, "wamid.ours", payload).signed(APP_SECRET);
    assert_eq!(scene.hear(&button).await, 200);
    until_worked_on(scene).await;
    button
}

const IN_VAIN: &str = "select count(*) from outbox where purpose = 'appointment.reply_failed'";

#[tokio::test(flavor = "multi_thread")]
async fn a_button_does_what_it_says_once_however_often_it_is_heard_of() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let (path, buttons) = asked(&scene, 0).await;

    let confirm = press(&scene, &buttons[0]).await;
    assert_eq!(desk.get(&path).await.body["status"], "confirmed");
    assert_eq!(scene.hear(&confirm).await, 200);
    press(&scene, &buttons[0]).await;
    press(&scene, &buttons[1]).await;
    press(&scene, &buttons[1]).await;

    assert_eq!(desk.get(&path).await.body["status"], "cancelled");
    let lines =
        "select count(*) from appointment_changes where what <> 'booked' and role = 'patient'";
    assert_eq!(scene.clinic.count(lines).await, 2);
    assert_eq!(scene.clinic.count(IN_VAIN).await, 0, "a second press is no failure");
    assert_eq!(
        scene.clinic.count("select count(*) from inbound_events").await,
        4,
        "the same news once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_presses_in_vain_is_told() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let (path, buttons) = asked(&scene, 0).await;
    let noon = scene.clinic.visit("2099-01-06T06:30:00Z");
    desk.put(&path, "*", &noon).await.expect(200);

    press(&scene, &buttons[0]).await;

    assert_eq!(desk.get(&path).await.body["status"], "booked", "he has not said yes to noon");
    until("he is told", async || {
        scene.clinic.count("select count(*) from outbox where purpose = 'appointment.reply_failed' and status = 'sent'").await == 1
    })
    .await;
    press(&scene, "confirm:made-up").await;
    press(&scene, "hello").await;
    assert_eq!(scene.clinic.count(IN_VAIN).await, 1, "what is not ours is passed over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_against_a_cancellation_at_the_desk_ends_in_one_state() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let (path, buttons) = asked(&scene, 0).await;
    let button = Webhook::button(PHONE, LAKSHMI, "wamid.ours", &buttons[1]).signed(APP_SECRET);

    let (heard, cancelled) = tokio::join!(scene.hear(&button), desk.delete(&path));

    assert_eq!(heard, 200);
    assert!([200, 409].contains(&cancelled.status.as_u16()), "{}", cancelled.text);
    until_worked_on(&scene).await;
    assert_eq!(desk.get(&path).await.body["status"], "cancelled");
    let lines = "select count(*) from appointment_changes where what = 'cancelled'";
    assert_eq!(scene.clinic.count(lines).await, 1);
    assert_eq!(scene.clinic.count(IN_VAIN).await, 0);
}

/// Offers a freed time to the first patient, and gives what the two buttons of its message carry.
async fn offered(scene: &Scene, at: &str) -> (String, Vec<String>) {
    let (clinic, desk) = (&scene.clinic, scene.clinic.desk().await);
    let visit = desk.post("/appointments", &clinic.visit_of(clinic.patients[1], at)).await;
    let entry = json!({ "patient_id": clinic.patients[0], "doctor_id": clinic.doctor });
    let entry = desk.post("/waitlist", &entry).await.expect(201).id();
    desk.delete(&format!("/appointments/{}", visit.expect(201).id())).await.expect(200);
    let text = || {
        let news = scene.meta.sent_to(LAKSHMI).into_iter();
        news.map(|sent| sent.content.to_string()).find(|text| text.contains("\"accept:"))
    };
    until("she is told", async || text().is_some()).await;
    let text = text().unwrap();
    let payloads = ["accept:", "decline:"].map(|action| {
        let (_, rest) = text.split_once(&format!("\"{action}")).expect("a button");
        format!("{action}{}", rest.split('"').next().unwrap())
    });
    (format!("/waitlist/{entry}"), payloads.into())
}

const BOOKED: &str = "select count(*) from appointments where status = 'booked'";
const TOLD: &str =
    "select count(*) from outbox where purpose = 'waitlist.offer_over' and status = 'sent'";

#[tokio::test(flavor = "multi_thread")]
async fn a_button_takes_the_time_that_is_offered_once() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let (path, buttons) = offered(&scene, "2099-01-06T06:30:00Z").await;

    for _ in 0..2 {
        press(&scene, &buttons[0]).await;
    }

    assert_eq!(desk.get(&path).await.expect(200).body["status"], "booked");
    assert_eq!(scene.clinic.count(BOOKED).await, 1);
    assert_eq!(scene.clinic.count(TOLD).await, 0, "a second press is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_lets_the_time_pass_and_then_it_is_over() {
    let scene = Scene::new().await;
    let desk = scene.clinic.desk().await;
    let (path, buttons) = offered(&scene, "2099-01-06T06:30:00Z").await;

    press(&scene, &buttons[1]).await;
    press(&scene, &buttons[0]).await;

    let entry = desk.get(&path).await.expect(200).body;
    assert_eq!((&entry["status"], scene.clinic.count(BOOKED).await), (&json!("waiting"), 0));
    until("she is told that it is over", async || scene.clinic.count(TOLD).await == 1).await;
}
