//! What providers bring to our door: genuine or not, in every shape that they have.

use nadi::messaging::channels::whatsapp::webhook::{
    Happened, News, Said, challenge, is_genuine, read,
};
use nadi::messaging::channels::{ErrorClass, Reported};
use secrecy::SecretString;
use serde_json::json;

use super::DIGITS;
use crate::support::providers::{APP_SECRET, PHONE, Webhook};

fn genuine(webhook: &Webhook) -> bool {
    is_genuine(&APP_SECRET.into(), webhook.header("x-hub-signature-256"), &webhook.body)
}

fn only(webhook: &Webhook) -> News {
    let mut news = read(&webhook.body).unwrap();
    assert_eq!(news.len(), 1);
    news.remove(0)
}

#[test]
fn only_metas_own_bytes_are_genuine() {
    let plain = Webhook::button(PHONE, DIGITS, "wamid.1", "token");
    let signed = plain.clone().signed(APP_SECRET);

    assert!(genuine(&signed));
    assert!(!genuine(&plain), "unsigned");
    assert!(!genuine(&signed.clone().tampered()), "a byte changed");
    assert!(!genuine(&plain.clone().signed("another secret")));
    let hex = signed.header("x-hub-signature-256").unwrap().strip_prefix("sha256=").unwrap();
    assert!(genuine(
        &plain.clone().with("X-Hub-Signature-256", format!("sha256={}", hex.to_uppercase()))
    ));
    for wrong in [
        format!("sha1={hex}"),
        hex.to_owned(),
        format!("sha256={}", &hex[..62]),
        format!("sha256={hex}00"),
        format!("sha256=+{}", &hex[1..]),
        "sha256=".into(),
        "sha256=é".into(),
    ] {
        assert!(!genuine(&plain.clone().with("X-Hub-Signature-256", wrong.clone())), "{wrong}");
    }
    let rewritten = serde_json::from_slice::<serde_json::Value>(&signed.body).unwrap().to_string();
    assert!(!is_genuine(
        &APP_SECRET.into(),
        signed.header("x-hub-signature-256"),
        rewritten.as_bytes()
    ));
}

#[test]
fn a_subscription_is_answered_for_the_right_token_alone() {
    let token = SecretString::from("verify-me");
    let ask = |mode, given, value| challenge(&token, mode, given, value);

    assert_eq!(ask(Some("subscribe"), Some("verify-me"), Some("42")), Some("42"));
    assert_eq!(ask(Some("subscribe"), Some("verify-mf"), Some("42")), None);
    assert_eq!(ask(Some("subscribe"), None, Some("42")), None);
    assert_eq!(ask(Some("unsubscribe"), Some("verify-me"), Some("42")), None);
    assert_eq!(ask(Some("subscribe"), Some("verify-me"), None), None);
    assert_eq!(challenge(&"".into(), Some("subscribe"), Some(""), Some("42")), None);
}

#[test]
fn receipts_read_in_every_status() {
    for (status, reported) in
        [("sent", Reported::Sent), ("delivered", Reported::Delivered), ("read", Reported::Read)]
    {
        let news = only(&Webhook::status(PHONE, "wamid.1", status, DIGITS));
        assert_eq!(news.phone_number_id, PHONE);
        assert_eq!(news.event_key(), format!("wamid.1|{status}|{DIGITS}|1795000000"));
        let Happened::Receipt(receipt) = news.happened else { panic!("{status}") };
        assert_eq!((receipt.status, receipt.to.as_deref()), (reported, Some(DIGITS)));
        assert_eq!((receipt.at.unwrap().timestamp(), receipt.failure), (1_795_000_000, None));
    }
    assert!(Reported::Read > Reported::Delivered && Reported::Delivered > Reported::Failed);
    for (code, class) in [
        (131026, ErrorClass::Recipient),
        (131047, ErrorClass::Window),
        (424242, ErrorClass::Refused),
    ] {
        let news = only(&Webhook::failed(PHONE, "wamid.1", DIGITS, code));
        let Happened::Receipt(receipt) = news.happened else { panic!("{code}") };
        assert_eq!((receipt.status, receipt.failure.unwrap().class), (Reported::Failed, class));
    }
}

#[test]
fn answers_name_the_button_and_the_message_that_had_it() {
    let news = only(&Webhook::button(PHONE, DIGITS, "wamid.ours", "opaque"));
    let Happened::Message(message) = news.happened else { panic!() };
    assert_eq!(
        (message.from.as_str(), message.context_id.as_deref()),
        (DIGITS, Some("wamid.ours"))
    );
    assert!(message.said == Said::Button { payload: "opaque".into() });
    assert!(!format!("{message:?}").contains("opaque") && !format!("{message:?}").contains(DIGITS));

    let interactive = json!({ "messages": [{
        "from": DIGITS, "id": "wamid.in", "timestamp": "1795000000", "type": "interactive",
        "interactive": { "type": "button_reply", "button_reply": { "id": "yes", "title": "Yes" } },
        "context": { "from": "919000000001", "id": "wamid.ours" },
    }] });
    let news = only(&Webhook::whatsapp(PHONE, &[interactive]));
    assert!(
        matches!(news.happened, Happened::Message(m) if m.said == Said::Button { payload: "yes".into() })
    );
}

#[test]
fn stop_in_several_tongues_is_an_opt_out() {
    for (text, stops) in [
        ("STOP", true),
        (" stop. ", true),
        ("Unsubscribe", true),
        ("बंद", true),
        ("बंद करें।", true),
        ("Please do not stop the medicine", false),
        ("Stop by at ten?", false),
        ("", false),
    ] {
        for news in read(&Webhook::text(PHONE, DIGITS, text).body).unwrap() {
            let Happened::Message(message) = news.happened else { panic!() };
            assert_eq!(message.is_opt_out(), stops, "{text}");
        }
    }
}

#[test]
fn one_delivery_holds_many_and_nonsense_is_passed_over() {
    let values = [
        Webhook::status_value("wamid.1", "read", DIGITS, None),
        json!({ "statuses": [{ "id": 7, "status": "sent" }, { "status": "sent" }, "x", null] }),
        json!({ "statuses": { "id": "wamid.2" }, "messages": "none" }),
        json!({ "messages": [{ "from": DIGITS, "id": "wamid.3", "type": "sticker" }, { "type": "text" }] }),
        json!({ "statuses": [{ "id": "wamid.4", "status": "deleted" }] }),
        Webhook::status_value("wamid.1", "sent", DIGITS, None),
    ];
    let news = read(&Webhook::whatsapp(PHONE, &values).body).unwrap();

    let keys: Vec<String> = news.iter().map(News::event_key).collect();
    assert_eq!(
        keys,
        [
            format!("wamid.1|read|{DIGITS}|1795000000"),
            "wamid.3|message".to_owned(),
            format!("wamid.1|sent|{DIGITS}|1795000000"),
        ]
    );
    for body in
        ["{}", "[]", "null", "7", r#"{"entry": 7}"#, r#"{"entry": [{"changes": [{"value": {}}]}]}"#]
    {
        assert_eq!(read(body.as_bytes()).unwrap(), [], "{body}");
    }
    for body in ["", "{", "<xml/>"] {
        assert!(read(body.as_bytes()).is_err());
    }
}
