//! What providers tell: genuine or not, twice, out of order, too early, of others.

use super::*;

/// Books, and gives the message with the id by which WhatsApp knows it.
async fn sent_by_whatsapp(scene: &Scene) -> (Uuid, String) {
    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;
    (message, scene.meta.sent_to(LAKSHMI)[0].id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrived_is_done_and_no_other_channel_is_tried() {
    let scene = Scene::new().await;
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let open = "select count(*) from outbox where status = 'sent' and done_at is null";
    assert_eq!(scene.clinic.count(open).await, 1, "it waits for its arrival");

    let delivered = Webhook::status(PHONE, &wamid, "delivered", LAKSHMI).signed(APP_SECRET);
    assert_eq!(scene.hear(&delivered).await, 200);

    scene.until_status(message, "delivered").await;
    let read = Webhook::status(PHONE, &wamid, "read", LAKSHMI).signed(APP_SECRET);
    for webhook in [&read, &delivered, &read] {
        assert_eq!(scene.hear(webhook).await, 200);
    }
    scene.until_status(message, "read").await;
    until("all news is worked on", async || {
        scene.clinic.count("select count(*) from inbound_events where handled_at is null").await
            == 0
    })
    .await;
    assert_eq!(scene.status(message).await, "read", "it never goes down again");
    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 2);
    assert!(scene.sms.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_which_nothing_is_heard_goes_by_the_next_channel() {
    let scene = Scene::new().await;
    let (message, _) = sent_by_whatsapp(&scene).await;

    until("the SMS is there", async || scene.sms.sent_to(LAKSHMI).len() == 1).await;

    assert_eq!(scene.status(message).await, "sent");
    assert_eq!(scene.meta.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_came_back_goes_by_the_next_channel_at_once() {
    let scene = Scene::new().await;
    let mut slow = settings(PHONE, TOKEN);
    slow["policies"]["appointment"]["deliver_seconds"] = json!(600);
    scene.clinic.admin().await.put("/settings/messaging", "*", &slow).await.expect(200);
    let (_, wamid) = sent_by_whatsapp(&scene).await;

    let failed = Webhook::failed(PHONE, &wamid, LAKSHMI, 131049).signed(APP_SECRET);
    assert_eq!(scene.hear(&failed).await, 200);

    until("the SMS is there", async || scene.sms.sent_to(LAKSHMI).len() == 1).await;
    let class = "select count(*) from outbox_attempts where status = 'failed' and class = 'recipient' and code = '131049'";
    assert_eq!(scene.clinic.count(class).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_comes_before_our_own_record_is_kept_and_found() {
    let scene = Scene::new().await;
    let wamid = format!("wamid.{PHONE}.1"); // the first that this provider will give out
    let early = Webhook::status(PHONE, &wamid, "delivered", LAKSHMI).signed(APP_SECRET);
    assert_eq!(scene.hear(&early).await, 200);

    let message = scene.book(scene.clinic.patients[0], 0).await;

    scene.until_status(message, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_genuine_changes_nothing() {
    let scene = Scene::new().await;
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let good = || Webhook::status(PHONE, &wamid, "delivered", LAKSHMI);

    for bad in [
        good(),
        good().signed("another secret"),
        good().signed(APP_SECRET).tampered(),
        good().with("X-Hub-Signature-256", "sha256="),
        good().with("X-Hub-Signature", "sha1=00"),
    ] {
        assert_eq!(scene.hear(&bad).await, 403);
    }
    let mut huge = good();
    huge.body = vec![b' '; 3 * 1024 * 1024];
    assert_eq!(scene.hear(&huge.signed(APP_SECRET)).await, 413);
    let guessed = Webhook::json(
        "/webhooks/sms/msg91/guessed",
        &json!({ "requestId": "sms-0", "status": "1" }),
    );
    assert_eq!(scene.hear(&guessed).await, 403);
    // Another clinic's number is answered, and ignored.
    let foreign = Webhook::status("100000000000009", &wamid, "delivered", LAKSHMI);
    assert_eq!(scene.hear(&foreign.signed(APP_SECRET)).await, 200);

    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 0);
    assert_ne!(scene.status(message).await, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_may_subscribe_with_the_right_token_alone() {
    let scene = Scene::new().await;
    let anybody = scene.clinic.anybody();
    for (token, status) in [("the+verify+token", 200), ("another", 403), ("", 403)] {
        for base in ["/webhooks", "/api/v1/webhooks"] {
            let path = format!(
                "{base}/whatsapp?hub.mode=subscribe&hub.challenge=4711&hub.verify_token={token}"
            );
            let answer =
                anybody.send(anybody.raw(reqwest::Method::GET, &path)).await.expect(status);
            assert_eq!(answer.text == "4711", status == 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_an_sms_finds_its_message_by_an_address_that_nobody_can_guess() {
    let scene = Scene::new().await;
    let admin = scene.clinic.admin().await;
    let mut sms_first = settings(PHONE, TOKEN);
    sms_first["policies"]["appointment"]["channels"] = json!(["sms", "email"]);
    let set = admin.put("/settings/messaging", "*", &sms_first).await.expect(200);
    let url = set.body["state"]["sms"]["webhook_url"].as_str().unwrap().to_owned();
    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;
    let id = scene.sms.sent_to(LAKSHMI)[0].id.clone();

    let path = url.split_once("/webhooks").map(|(_, path)| format!("/webhooks{path}")).unwrap();
    let report = json!({ "requestId": id, "number": LAKSHMI, "status": "1" });
    assert_eq!(scene.hear(&Webhook::json(&path, &report)).await, 200);

    scene.until_status(message, "delivered").await;
}
