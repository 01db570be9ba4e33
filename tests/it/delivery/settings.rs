//! Providers' credentials go in and never come out.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_written_and_never_read() {
    let scene = Scene::new().await;
    let admin = scene.clinic.admin().await;

    let shown = admin.get("/settings/messaging").await.expect(200);

    for secret in [TOKEN, APP_SECRET, "the verify token", "an auth key of sixteen"] {
        assert!(!shown.text.contains(secret), "{secret}: {}", shown.text);
    }
    assert_eq!(shown.body["state"]["whatsapp"]["configured"], true);
    assert_eq!(shown.body["state"]["whatsapp"]["key_ends"], TOKEN[TOKEN.len() - 4..]);
    assert_eq!(shown.body["policies"]["code"]["mode"], "sequential");
    let sealed = "select count(*) from messaging_settings where position('demo-app-secret' in encode(providers_cipher, 'escape')) = 0";
    assert_eq!(scene.clinic.count(sealed).await, 1);

    // What was shown may be sent back: the secrets stay.
    let etag = shown.header("etag").to_owned();
    admin.put("/settings/messaging", &etag, &shown.body).await.expect(200);
    admin.put("/settings/messaging", &etag, &shown.body).await.expect(412);
    scene.ask_for_code(&scene.clinic).await;
    until("the code came", async || scene.meta.sent_to(LAKSHMI).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_with_is_refused_with_every_fault() {
    let scene = Scene::new().await;
    let bad = json!({
        "whatsapp": { "phone_number_id": "100000000000777" },
        "sms": { "provider": "gateway", "gateway": {
            "method": "POST", "url": "http://169.254.169.254/latest", "success": { "statuses": [200] },
        } },
        "email": { "smtp_url": "smtp://mail.example" },
        "policies": { "code": { "channels": ["sms", "sms"], "accept_seconds": 0 } },
        "token": 1,
    });

    let refused =
        scene.clinic.admin().await.put("/settings/messaging", "*", &bad).await.expect(422);

    let faults: Vec<String> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    for pointer in [
        "/policies/code/accept_seconds",
        "/policies/code/channels",
        "/whatsapp/token",
        "/whatsapp/app_secret",
        "/sms/gateway",
        "/email/smtp_url",
        "/token",
    ] {
        assert!(faults.iter().any(|fault| fault == pointer), "{pointer} in {faults:?}");
    }
}

fn gateway(url: &str) -> Value {
    json!({
        "method": "POST", "url": url, "headers": [["X-Key", "{secret.key}"]],
        "body": { "json": { "text": "{text}" } }, "success": { "statuses": [200] },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_keeps_secret_goes_nowhere_else() {
    let listed = vec![("NADI_OUTBOUND_HOSTS", "sms.example,elsewhere.example".to_owned())];
    let scene = Scene::set(SmtpServer::up(), listed).await;
    let admin = scene.clinic.admin().await;
    let put = async |gateway: &Value, secrets: Option<Value>| {
        let mut body = json!({ "sms": { "provider": "gateway", "gateway": gateway } });
        if let Some(secrets) = secrets {
            body["sms"]["secrets"] = secrets;
        }
        admin.put("/settings/messaging", "*", &body).await
    };
    let own = gateway("https://sms.example/send");
    put(&own, Some(json!({ "key": "of the gateway" }))).await.expect(200);

    for (place, other) in [
        ("url", json!("https://elsewhere.example/send")),
        ("method", json!("PUT")),
        ("headers", json!([["X-Key", "{secret.key}"], ["X-More", "1"]])),
        ("query", json!([["key", "{secret.key}"]])),
        ("body", json!({ "json": { "text": "{secret.key}" } })),
    ] {
        let mut changed = own.clone();
        changed[place] = other;
        let refused = put(&changed, None).await.expect(422);
        let required = [("/sms/secrets".to_owned(), "required".to_owned())];
        assert_eq!(refused.faults(), required, "{place}");
        put(&changed, Some(json!({ "key": "another" }))).await.expect(200);
        put(&own, Some(json!({ "key": "of the gateway" }))).await.expect(200);
    }

    // How its answers read is no part of the request.
    let mut reads = own.clone();
    reads["id"] = json!("/id");
    put(&reads, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_of_ones_own_stays_until_it_is_given_up() {
    let scene = Scene::new().await;
    let admin = scene.clinic.admin().await;
    let put = async |email: Value| {
        let body = json!({ "email": email });
        let set = admin.put("/settings/messaging", "*", &body).await.expect(200);
        set.body["state"]["email"]["configured"].clone()
    };
    let from = "desk@shanti.example";

    assert_eq!(put(json!({ "smtp_url": "smtps://u:p@mail.example", "from": from })).await, true);
    assert_eq!(put(json!({ "from": from })).await, true);
    assert_eq!(put(json!({ "smtp_url": null, "from": from })).await, false);
    assert_eq!(put(json!({ "from": from })).await, false);
}
