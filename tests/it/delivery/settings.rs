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
