//! WhatsApp: what is sent is what Meta takes, and every code means what the table says.

use nadi::messaging::channels::whatsapp::{Button, Content, Document, File};
use nadi::messaging::channels::{ErrorClass, ErrorClass::*, Lane, Reached, Shun};
use serde_json::json;

use super::{CODE, DIGITS, account, assert_discreet, code, http, outgoing, outgoing_to};
use crate::support::providers::{Fault, PHONE, WhatsappServer};

/// Status, code, class: the rows of Meta's list as we read it.
const ROWS: &[(u16, i64, ErrorClass)] = &[
    (400, 4, Pace),
    (400, 80007, Pace),
    (429, 130429, Pace),
    (400, 131056, RecipientPace),
    (500, 1, Transient),
    (503, 2, Transient),
    (500, 131000, Transient),
    (400, 131016, Transient),
    (400, 131057, Transient),
    (400, 133004, Transient),
    (400, 131026, Recipient),
    (400, 131049, Recipient),
    (400, 131050, Recipient),
    (400, 130472, Recipient),
    (400, 131021, Recipient),
    (400, 131047, Window),
    (400, 132000, Template),
    (404, 132001, Template),
    (400, 132005, Template),
    (400, 132007, Template),
    (400, 132012, Template),
    (400, 132015, Template),
    (400, 132016, Template),
    (400, 132068, Template),
    (400, 132069, Template),
    (400, 100, OurRequest),
    (400, 131008, OurRequest),
    (400, 131009, OurRequest),
    (400, 131051, OurRequest),
    (400, 131053, OurRequest),
    (401, 0, Account),
    (401, 190, Account),
    (500, 3, Account), // the code beats the status
    (403, 10, Account),
    (403, 200, Account),
    (403, 250, Account),
    (403, 299, Account),
    (403, 368, Account),
    (403, 130497, Account),
    (403, 131031, Account),
    (400, 131042, Account),
    (400, 33, Account),
    (403, 131005, Account),
    (400, 131037, Account),
    (500, 131045, Account),
    (400, 131048, SpamLimit),
    // not in the list: by the status
    (500, 999_001, Transient),
    (429, 999_002, Pace),
    (401, 999_003, Account),
    (400, 999_004, Refused),
    (403, 133016, Refused),
];

#[tokio::test]
async fn every_code_is_of_its_class_and_tells_nothing() {
    let meta = WhatsappServer::start().await;
    let (http, account) = (http(), account(&meta));
    for &(status, number, class) in ROWS {
        meta.play(Fault::whatsapp(status, number));

        let failure = account.send(&http, &outgoing(code())).await.unwrap_err();

        assert_eq!(failure.class, class, "{number}");
        assert_eq!(
            (failure.http, failure.code.as_deref()),
            (Some(status), Some(&*number.to_string()))
        );
        assert_eq!(failure.reached, Reached::Answered);
        assert_eq!(failure.most_tries, (number == 1).then_some(2), "{number}");
        let week = std::time::Duration::from_secs(7 * 24 * 3600);
        assert_eq!(failure.shun, (number == 131026).then_some(Shun::For(week)), "{number}");
        assert_discreet(&(failure.to_string(), &failure));
    }
    assert!(meta.sent().is_empty());
}

#[tokio::test]
async fn an_unknown_code_that_calls_itself_temporary_is() {
    let meta = WhatsappServer::start().await;
    for (is_transient, class) in
        [(json!(true), Transient), (json!(false), Refused), (json!("x"), Refused)]
    {
        let error =
            json!({ "error": { "code": 777, "message": "x", "is_transient": is_transient } });
        meta.play(Fault::json(400, &error));
        let failure = account(&meta).send(&http(), &outgoing(code())).await.unwrap_err();
        assert_eq!(failure.class, class);
    }
    // Some proxies answer 200 with an error, or a code as a text.
    meta.play(Fault::json(200, &json!({ "error": { "code": "131026" } })));
    let failure = account(&meta).send(&http(), &outgoing(code())).await.unwrap_err();
    assert_eq!(failure.class, Recipient);
}

#[tokio::test]
async fn a_code_arrives_as_meta_wants_it() {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "hi");
    let message = outgoing(code());

    let accepted = account(&meta).send(&http(), &message).await.unwrap();

    let sent = meta.sent();
    assert_eq!(accepted.provider_id.as_deref(), Some(sent[0].id.as_str()));
    assert_eq!((accepted.http, accepted.recipient_id.as_deref()), (Some(200), Some(DIGITS)));
    assert_eq!(sent[0].to, DIGITS);
    assert_eq!(sent[0].content["biz_opaque_callback_data"], message.message_id.to_string());
    assert_eq!(sent[0].content["template"]["components"][0]["parameters"][0]["text"], CODE);
}

#[tokio::test]
async fn a_reminder_with_buttons_and_awkward_names_arrives() {
    let meta = WhatsappServer::start().await;
    meta.knows_template("reminder", "en", 2, 2);
    let content = Content::Template {
        name: "reminder".into(),
        language: "en".into(),
        document: None,
        parameters: vec!["Lakshmi\n\tMenon".into(), "10:30      (Asia/Kolkata)".into()],
        replies: vec!["confirm-token".into(), "cancel-token".into()],
    };

    account(&meta).send(&http(), &outgoing(content)).await.unwrap();

    let sent = &meta.sent()[0].content["template"]["components"];
    assert_eq!(sent[0]["parameters"][0]["text"], "Lakshmi Menon");
    assert_eq!(sent[0]["parameters"][1]["text"], "10:30 (Asia/Kolkata)");
    assert_eq!(sent[2]["index"], "1");
    assert_eq!(sent[2]["parameters"][0]["payload"], "cancel-token");
}

#[tokio::test]
async fn buttons_go_to_those_who_wrote_today_and_else_ask_for_a_template() {
    let meta = WhatsappServer::start().await;
    let buttons = || Content::Buttons {
        text: "Will you come?".into(),
        footer: Some("Shanti Clinic".into()),
        buttons: vec![Button { id: "yes".into(), title: "हाँ".into() }],
    };

    let failure = account(&meta).send(&http(), &outgoing(buttons())).await.unwrap_err();
    assert!(failure.class.resends_as_template());
    meta.opens_window(DIGITS);
    account(&meta).send(&http(), &outgoing(buttons())).await.unwrap();

    assert_eq!(meta.sent().len(), 1);
    assert_eq!(meta.complaints().len(), 1);
}

#[tokio::test]
async fn a_document_is_handed_over_once_and_sent_by_its_id() {
    let meta = WhatsappServer::start().await;
    meta.knows_document_template("prescription", "en", 1);
    let (http, account) = (http(), account(&meta));
    let file = |bytes: Vec<u8>| File {
        bytes,
        mime: "application/pdf".into(),
        filename: "prescription.pdf".into(),
    };
    let clinic_id = nadi::ids::ClinicId::new();

    let media_id =
        account.upload(&http, clinic_id, file(b"%PDF-1.7\r\n--x\r\n".to_vec())).await.unwrap();
    let document = || Document { media_id: media_id.clone(), filename: "prescription.pdf".into() };
    let template = Content::Template {
        name: "prescription".into(),
        language: "en".into(),
        document: Some(document()),
        parameters: vec!["Lakshmi".into()],
        replies: vec![],
    };
    account.send(&http, &outgoing(template)).await.unwrap();
    meta.opens_window(DIGITS);
    let plain = Content::Document { document: document(), caption: Some("As agreed".into()) };
    account.send(&http, &outgoing(plain)).await.unwrap();

    assert_eq!(meta.sent()[1].content["document"]["id"], media_id);
    let empty = account.upload(&http, clinic_id, file(vec![])).await.unwrap_err();
    assert_eq!(empty.code.as_deref(), Some("bad_file"));
    meta.play(Fault::whatsapp(400, 131053));
    let refused = account.upload(&http, clinic_id, file(b"x".to_vec())).await.unwrap_err();
    assert!(!refused.class.tries_again());
}

#[tokio::test]
async fn what_meta_would_refuse_does_not_leave() {
    let meta = WhatsappServer::start().await;
    for number in
        ["9876543210", "+91 98765 43210", "+0919876543210", "+1234567", "+1234567890123456", ""]
    {
        let failure = account(&meta).send(&http(), &outgoing_to(number, code())).await.unwrap_err();
        assert_eq!((failure.class, failure.reached), (OurRequest, Reached::Nothing), "{number}");
        assert!(number.is_empty() || !failure.to_string().contains(number));
    }
    let empty = Content::Template {
        name: "reminder".into(),
        language: "en".into(),
        document: None,
        parameters: vec!["  ".into()],
        replies: vec![],
    };
    assert!(account(&meta).send(&http(), &outgoing(empty)).await.is_err());
    assert!(meta.calls().is_empty());
}

#[tokio::test]
async fn the_stand_in_refuses_what_meta_does() {
    let meta = WhatsappServer::start().await;
    meta.knows_template("reminder", "en", 2, 0);
    let http = http();
    let with = |name: &str, parameters: usize| Content::Template {
        name: name.into(),
        language: "en".into(),
        document: None,
        parameters: vec!["x".into(); parameters],
        replies: vec![],
    };
    let ask = async |account: &nadi::messaging::channels::whatsapp::Account, content| {
        let failure = account.send(&http, &outgoing(content)).await.unwrap_err();
        (failure.class, failure.code.unwrap())
    };

    let good = account(&meta);
    assert_eq!(ask(&good, with("reminder", 1)).await, (Template, "132000".into()));
    assert_eq!(ask(&good, with("other", 2)).await, (Template, "132001".into()));
    let mut stranger = account(&meta);
    stranger.token = "another".into();
    assert_eq!(ask(&stranger, with("reminder", 2)).await, (Account, "190".into()));
    let mut nobody = account(&meta);
    nobody.phone_number_id = "1".into();
    assert_eq!(ask(&nobody, with("reminder", 2)).await, (OurRequest, "100".into()));
    meta.holds_pairs_to(std::time::Duration::from_secs(60));
    good.send(&http, &outgoing(with("reminder", 2))).await.unwrap();
    assert_eq!(ask(&good, with("reminder", 2)).await, (RecipientPace, "131056".into()));

    assert_eq!(meta.complaints().len(), 5);
}

#[tokio::test]
async fn an_account_shows_no_token() {
    let meta = WhatsappServer::start().await;

    assert_discreet(&account(&meta));
    assert_eq!(account(&meta).phone_number_id, PHONE);
    assert_eq!(outgoing(code()).lane, Lane::Others);
}
