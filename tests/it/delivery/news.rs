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

#[tokio::test(flavor = "multi_thread")]
async fn only_a_message_that_has_to_go_on_is_hinted_about_once_more() {
    let scene = Scene::new().await;
    let mut slow = settings(PHONE, TOKEN);
    slow["policies"]["appointment"]["deliver_seconds"] = json!(600);
    scene.clinic.admin().await.put("/settings/messaging", "*", &slow).await.expect(200);
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let hints = async || hints(&scene).await;

    let before = hints().await;
    let delivered = Webhook::status(PHONE, &wamid, "sent", LAKSHMI).signed(APP_SECRET);
    assert_eq!(scene.hear(&delivered).await, 200);
    let handled = "select count(*) from inbound_events where handled_at is not null";
    until("it is worked on", async || scene.clinic.count(handled).await == 1).await;
    let stored = hints().await;
    let failed = Webhook::failed(PHONE, &wamid, LAKSHMI, 131049).signed(APP_SECRET);
    assert_eq!(scene.hear(&failed).await, 200);
    until("the SMS is there", async || scene.sms.sent_to(LAKSHMI).len() == 1).await;

    assert_eq!(stored - before, 1, "that it was stored");
    assert_eq!(
        hints().await - stored,
        2,
        "that it was stored, and that the next channel has its turn"
    );
    scene.until_status(message, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn genuine_news_is_never_too_much_and_what_is_not_is_soon() {
    let behind = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let scene = Scene::set(SmtpServer::up(), behind).await;
    // About a number that is not this clinic's: genuine, and nothing is kept of it.
    let genuine = Webhook::status("100000000000009", "wamid.1", "delivered", LAKSHMI)
        .signed(APP_SECRET)
        .with("X-Forwarded-For", "203.0.113.7");
    let forged = Webhook::status(PHONE, "wamid.1", "delivered", LAKSHMI)
        .signed("another secret")
        .with("X-Forwarded-For", "203.0.113.7");
    let many = async |webhook: &Webhook, count: usize| -> Vec<u16> {
        let hearing = (0..count).map(|_| scene.hear(webhook));
        futures_util::stream::StreamExt::collect(futures_util::stream::StreamExt::buffer_unordered(
            futures_util::stream::iter(hearing),
            32,
        ))
        .await
    };

    let genuine_first = many(&genuine, 700).await;
    let mut refused = Vec::new();
    while !refused.contains(&429) {
        refused.extend(many(&forged, 200).await);
        assert!(refused.len() < 20_000, "no end to it");
    }
    let genuine_last = many(&genuine, 50).await;

    assert!(genuine_first.iter().chain(&genuine_last).all(|status| *status == 200));
    assert!(refused.iter().all(|status| [403, 429].contains(status)));
    assert!(refused.iter().filter(|status| **status == 403).count() >= 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_an_sms_is_of_its_request_and_its_number() {
    let scene = Scene::new().await;
    let mut sms_first = settings(PHONE, TOKEN);
    sms_first["policies"]["appointment"]["channels"] = json!(["sms", "email"]);
    sms_first["policies"]["appointment"]["deliver_seconds"] = json!(600);
    let admin = scene.clinic.admin().await;
    let set = admin.put("/settings/messaging", "*", &sms_first).await.expect(200);
    let url: url::Url = set.body["state"]["sms"]["webhook_url"].as_str().unwrap().parse().unwrap();
    let at = |mut webhook: Webhook| {
        webhook.path = url.path().to_owned();
        webhook
    };
    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;
    let id = scene.sms.sent_to(LAKSHMI)[0].id.clone();
    let handled = async |as_what: &str| {
        let sql = "select count(*) from inbound_events where handled_as = $1";
        let count: i64 = sqlx::query_scalar(sql)
            .bind(as_what)
            .fetch_one(&mut scene.clinic.connection().await)
            .await
            .unwrap();
        count
    };

    let of_another = at(Msg91Server::report_v3(&id, "919847054321", "1"));
    assert_eq!(scene.hear(&of_another).await, 200);
    until("it is worked on", async || handled("about another number").await == 1).await;
    assert_eq!(scene.status(message).await, "sent");
    let unknown = at(Msg91Server::report_v3("another-request", LAKSHMI, "1"));
    assert_eq!(scene.hear(&unknown).await, 200);
    let old_shape = at(Msg91Server::report_v2(&id, LAKSHMI, "1"));
    assert_eq!(scene.hear(&old_shape).await, 200);

    scene.until_status(message, "delivered").await;
    let waits = "select count(*) from inbound_events where handled_at is null";
    assert_eq!(scene.clinic.count(waits).await, 1, "the unknown one waits for its message");
}

async fn hints(scene: &Scene) -> i64 {
    sqlx::query_scalar("select hints from wakeups where clinic_id = $1")
        .bind(scene.clinic.id)
        .fetch_one(&mut scene.platform.server.superuser(&scene.platform.database).await)
        .await
        .unwrap()
}

/// Waits until a worker has looked at the clinic once more.
async fn look(scene: &Scene) {
    let mut central = scene.platform.server.superuser(&scene.platform.database).await;
    // Each look that ends says anew when it is swept.
    let sql = "update wakeups set due_at = now() where clinic_id = $1 returning sweep_at";
    let before: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar(sql).bind(scene.clinic.id).fetch_one(&mut central).await.unwrap();
    until("a look has ended", async || {
        sqlx::query_scalar("select sweep_at <> $2 from wakeups where clinic_id = $1")
            .bind(scene.clinic.id)
            .bind(before)
            .fetch_one(&mut central)
            .await
            .unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_what_nobody_knows_has_nobody_look_again() {
    let scene = Scene::new().await;
    look(&scene).await;
    let before = hints(&scene).await;

    let failed = Webhook::failed(PHONE, "wamid.of-nobody", LAKSHMI, 131049).signed(APP_SECRET);
    assert_eq!(scene.hear(&failed).await, 200);
    for _ in 0..3 {
        look(&scene).await;
    }

    assert_eq!(hints(&scene).await - before, 1, "that it was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_about_nothing_stands_in_nobodys_way_and_is_given_up_after_an_hour() {
    let scene = Scene::new().await;
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let read = Webhook::status(PHONE, &wamid, "read", LAKSHMI).signed(APP_SECRET);
    assert_eq!(scene.hear(&read).await, 200);
    scene.until_status(message, "read").await;
    let values: Vec<Value> = (0..201)
        .map(|n| Webhook::status_value(&format!("wamid.nobodys-{n}"), "delivered", LAKSHMI, None))
        .collect();
    assert_eq!(scene.hear(&Webhook::whatsapp(PHONE, &values).signed(APP_SECRET)).await, 200);
    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 202);
    // As if the process had died before it came to the newest.
    let mut inside = scene.clinic.connection().await;
    for sql in [
        "update inbound_events set received_at = now() - interval '10 minutes' where handled_at is null",
        "update inbound_events set handled_at = null, handled_as = null, received_at = now()
         where handled_as = 'receipt'",
    ] {
        sqlx::query(sql).execute(&mut inside).await.unwrap();
    }

    look(&scene).await;

    let handled = "select count(*) from inbound_events where handled_as = 'too late'";
    until("it is worked on", async || scene.clinic.count(handled).await == 1).await;
    let given_up = "select count(*) from inbound_events where handled_as = 'about nothing of ours'";
    assert_eq!(scene.clinic.count(given_up).await, 0);
    sqlx::query("update inbound_events set received_at = now() - interval '61 minutes'")
        .execute(&mut inside)
        .await
        .unwrap();
    look(&scene).await;
    until("they are given up", async || scene.clinic.count(given_up).await == 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_was_left_for_hours_is_worked_on_before_it_is_given_up() {
    let scene = Scene::new().await;
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let delivered = Webhook::status(PHONE, &wamid, "delivered", LAKSHMI);
    let twice = [delivered.clone(), delivered].map(|webhook| webhook.signed(APP_SECRET));
    for webhook in &twice {
        assert_eq!(scene.hear(webhook).await, 200);
    }
    scene.until_status(message, "delivered").await;
    // As if the process had died right after it was stored, and nobody had been there for hours.
    for sql in [
        "update inbound_events set handled_at = null, handled_as = null,
                                   received_at = now() - interval '5 hours'",
        "update outbox set status = 'sent'",
        "update outbox_attempts set status = 'sent'",
    ] {
        sqlx::query(sql).execute(&mut scene.clinic.connection().await).await.unwrap();
    }

    look(&scene).await;

    scene.until_status(message, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_says_a_thing_twice_says_it_once() {
    let scene = Scene::new().await;
    let (message, wamid) = sent_by_whatsapp(&scene).await;
    let delivered = Webhook::status_value(&wamid, "delivered", LAKSHMI, None);
    let read = Webhook::status_value(&wamid, "read", LAKSHMI, None);
    let values = [delivered.clone(), delivered, read];

    assert_eq!(scene.hear(&Webhook::whatsapp(PHONE, &values).signed(APP_SECRET)).await, 200);

    scene.until_status(message, "read").await;
    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 2);
}
