//! Text messages by each kind of provider, and what each reports.

use std::collections::BTreeMap;
use std::time::Duration;

use nadi::messaging::channels::guard::{AllowList, Barred};
use nadi::messaging::channels::sms::gateway::{Description, Fault as Wrong, Gateway};
use nadi::messaging::channels::sms::{Account, Text, msg91, twilio};
use nadi::messaging::channels::{ErrorClass, ErrorClass::*, Outgoing, Reached, Reported, Shun};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{CODE, DIGITS, TO, assert_discreet, http, outgoing};
use crate::support::providers::{Fault, GatewayServer, Msg91Server, ProviderServer, TwilioServer};

const KEY: &str = "auth-key-of-the-clinic";
const SID: &str = "AC00000000000000000000000000000001";

fn text() -> Outgoing<Text> {
    let mut message = outgoing(Text {
        text: format!("{CODE} is your code & \"key\" {{to}}\n@shanti.nadi.health #{CODE}").into(),
        template_id: Some("flow-1".into()),
        dlt_template_id: Some("1107160000000000001".into()),
        variables: vec![("VAR1".into(), CODE.into())],
    });
    message.time_left = Duration::from_secs(240);
    message
}

fn msg91(server: &ProviderServer) -> Account {
    Account::Msg91(msg91::Account { base: server.url().parse().unwrap(), auth_key: KEY.into() })
}

fn twilio(server: &ProviderServer) -> Account {
    Account::Twilio(twilio::Account {
        base: server.url().parse().unwrap(),
        account_sid: SID.into(),
        auth_token: KEY.into(),
        sender: twilio::Sender::Number("+15005550006".into()),
        status_callback: Some("https://shanti.nadi.health/webhooks/sms/twilio".parse().unwrap()),
    })
}

#[tokio::test]
async fn msg91_fills_in_its_template() {
    let server = Msg91Server::start(KEY).await;
    server.knows_template("flow-1", &["VAR1"]);

    let accepted = msg91(&server).send(&http(), &text()).await.unwrap();

    let sent = server.sent_to(DIGITS);
    assert_eq!(accepted.provider_id.as_deref(), Some(sent[0].id.as_str()));
    assert_eq!(sent[0].content["recipients"][0]["VAR1"], CODE);
    assert!(!sent[0].content.to_string().contains("shanti.nadi.health"), "its own text goes");
}

#[tokio::test]
async fn msg91_says_no_with_200() {
    let server = Msg91Server::start(KEY).await;
    for (code, class) in [
        (json!("201"), Account_),
        (json!(207), Account_),
        (json!("301"), Account_),
        (json!("418"), Account_),
        (json!("202"), Recipient),
        (json!("203"), Template),
        (json!("400"), Template),
        (json!("306"), Transient),
        (json!("311"), RecipientPace),
        (json!("102"), OurRequest),
        (json!("777"), Refused),
        (Value::Null, Refused),
    ] {
        let answer = json!({ "type": "error", "code": code, "message": format!("no: {DIGITS}") });
        server.play(Fault::json(200, &answer));
        let failure = msg91(&server).send(&http(), &text()).await.unwrap_err();
        assert_eq!((failure.class, failure.reached), (class, Reached::Answered), "{code}");
        assert_eq!(failure.shun, (code == "202").then_some(Shun::ForGood));
        assert_discreet(&(failure.to_string(), failure));
    }
    for (fault, class, reached) in [
        (Fault::status(500), Transient, Reached::Answered),
        (Fault::html(502), Transient, Reached::Answered),
        (Fault::too_many(Some("3")), Pace, Reached::Answered),
        (Fault::html(401), Account_, Reached::Answered),
        (Fault::html(200), Transient, Reached::Perhaps),
        (Fault::json(200, &json!({})), Transient, Reached::Perhaps),
        (Fault::json(200, &json!({ "type": "success" })), Transient, Reached::Perhaps),
        (Fault::ResetBefore, Transient, Reached::Perhaps),
    ] {
        server.play(fault.clone());
        let failure = msg91(&server).send(&http(), &text()).await.unwrap_err();
        assert_eq!((failure.class, failure.reached), (class, reached), "{fault:?}");
    }
}

/// `Account` is also the name of an account here.
#[allow(non_upper_case_globals, reason = "it stands for the class of that name")]
const Account_: ErrorClass = ErrorClass::Account;

#[tokio::test]
async fn a_wrong_key_and_an_unknown_template_are_told_apart() {
    let server = Msg91Server::start("another key").await;
    let refused = msg91(&server).send(&http(), &text()).await.unwrap_err();
    assert_eq!(refused.class, Account_);
    assert_eq!(server.complaints().len(), 1);

    let server = Msg91Server::start(KEY).await;
    let refused = msg91(&server).send(&http(), &text()).await.unwrap_err();
    assert_eq!(refused.class, Template);
    assert_eq!(server.complaints().len(), 1);
}

#[test]
fn msg91_reports_in_three_shapes() {
    let kind = "application/x-www-form-urlencoded";
    let v2 = Msg91Server::report_v2("req-1", DIGITS, "1");
    let v3 = Msg91Server::report_v3("req-1", DIGITS, "1");
    let listed = format!("[{0}, {0}]", String::from_utf8(v3.body.clone()).unwrap());
    for (told, receipts) in [
        (1, msg91::receipts(kind, &v2.body)),
        (1, msg91::receipts("application/json", &v3.body)),
        (2, msg91::receipts("application/json", listed.as_bytes())),
    ] {
        assert_eq!(receipts.len(), told);
        for receipt in receipts {
            assert_eq!(
                (receipt.provider_id.as_str(), receipt.to.as_deref()),
                ("req-1", Some(DIGITS))
            );
            assert_eq!(receipt.status, Reported::Delivered);
            assert_eq!(receipt.at.unwrap().to_rfc3339(), "2026-11-21T10:00:00+00:00");
        }
    }
    for (status, class) in [
        ("2", Recipient),
        ("9", Recipient),
        ("16", Policy),
        ("17", Recipient),
        ("25", Policy),
        ("99", Refused),
    ] {
        let receipts = msg91::receipts(kind, &Msg91Server::report_v2("r", DIGITS, status).body);
        assert_eq!(receipts[0].status, Reported::Failed);
        assert_eq!(receipts[0].failure.as_ref().unwrap().class, class, "{status}");
    }
    for nonsense in ["", "data=7", "data=%5B%7B%7D%5D", "x=y"] {
        assert_eq!(msg91::receipts(kind, nonsense.as_bytes()), [], "{nonsense}");
    }
}

#[tokio::test]
async fn twilio_gets_the_text_and_the_time_left() {
    let server = TwilioServer::start(SID, KEY).await;

    let accepted = twilio(&server).send(&http(), &text()).await.unwrap();

    let sent = &server.sent_to(DIGITS)[0];
    assert_eq!(accepted.provider_id.as_deref(), Some(sent.id.as_str()));
    assert_eq!(sent.content["ValidityPeriod"], "240");
    assert_eq!(sent.content["To"], TO);
    assert!(
        sent.content["Body"].as_str().unwrap().ends_with(&format!("@shanti.nadi.health #{CODE}"))
    );
}

#[tokio::test]
async fn every_code_of_twilio_is_of_its_class() {
    let server = TwilioServer::start(SID, KEY).await;
    for (status, code, class, dead) in [
        (401, 20003, Account_, false),
        (429, 20429, Pace, false),
        (400, 21211, Recipient, true),
        (400, 21610, Recipient, false),
        (400, 21614, Recipient, true),
        (400, 21408, Policy, false),
        (400, 21606, Account_, false),
        (400, 21617, OurRequest, false),
        (400, 30003, Transient, false),
        (400, 30005, Recipient, true),
        (400, 30006, Recipient, true),
        (400, 30007, Policy, false),
        (400, 30008, Transient, false),
        (400, 99999, Refused, false),
        (503, 99999, Transient, false),
    ] {
        let answer = json!({ "code": code, "message": format!("no {TO}"), "status": status });
        server.play(Fault::json(status, &answer));
        let failure = twilio(&server).send(&http(), &text()).await.unwrap_err();
        assert_eq!((failure.class, failure.shun.is_some()), (class, dead), "{code}");
        assert_discreet(&(failure.to_string(), failure));
    }
    server.play(Fault::json(201, &json!({ "status": "queued" })));
    assert!(twilio(&server).send(&http(), &text()).await.unwrap_err().is_ambiguous());
    server
        .play(Fault::json(201, &json!({ "sid": "SM1", "status": "failed", "error_code": 30006 })));
    assert_eq!(twilio(&server).send(&http(), &text()).await.unwrap_err().class, Recipient);
}

#[tokio::test]
async fn twilios_callbacks_are_genuine_and_read() {
    let server = TwilioServer::start(SID, KEY).await;
    let url = "https://shanti.nadi.health/webhooks/sms/twilio?c=1";
    for (status, code, reported) in [
        ("sent", None, Some(Reported::Sent)),
        ("delivered", None, Some(Reported::Delivered)),
        ("read", None, Some(Reported::Read)),
        ("undelivered", Some("30005"), Some(Reported::Failed)),
        ("failed", Some("30008"), Some(Reported::Failed)),
        ("queued", None, None),
        ("sending", None, None),
    ] {
        let callback = server.callback(url, "SM1", status, code);
        let signature = callback.header("X-Twilio-Signature");

        assert!(twilio::is_genuine(&KEY.into(), signature, url, &callback.body));
        assert!(!twilio::is_genuine(
            &KEY.into(),
            signature,
            "https://evil.example/",
            &callback.body
        ));
        assert!(!twilio::is_genuine(
            &KEY.into(),
            signature,
            url,
            &callback.clone().tampered().body
        ));
        let receipt = twilio::receipt(&callback.body);
        assert_eq!(receipt.as_ref().map(|receipt| receipt.status), reported);
        let failure = receipt.and_then(|receipt| receipt.failure);
        assert_eq!(failure.and_then(|failure| failure.code).as_deref(), code);
    }
}

fn description(server: &ProviderServer, method: &str, body: Value) -> Description {
    let mut description = json!({
        "method": method,
        "url": format!("{}/send", server.url()),
        "headers": [["X-Key", "{secret.key}"], ["X-Template", "{dlt_template_id}"]],
        "success": { "statuses": [200], "pointer": "/result/ok", "equals": true },
        "id": "/result/id",
        "code": "/result/code",
        "codes": { "E_KEY": "account", "E_BUSY": "transient", "E_DND": "recipient" },
        "reports": {
            "format": "form", "id": "/msgid", "to": "/mobile", "status": "/status",
            "statuses": { "DELIVRD": "delivered", "UNDELIV": "failed", "ACCEPTD": "sent" },
        },
    });
    for (name, value) in body.as_object().unwrap() {
        description[name] = value.clone();
    }
    serde_json::from_value(description).unwrap()
}

fn gateway(description: Description, list: &[&str]) -> Result<Gateway, Wrong> {
    let secrets = BTreeMap::from([("key".to_owned(), SecretString::from(KEY))]);
    Gateway::new(description, secrets, &AllowList::new(list.iter().copied()).unwrap())
}

const OWN: &[&str] = &["127.0.0.1"];

#[tokio::test]
async fn a_gateway_is_spoken_to_as_its_settings_say() {
    let server = GatewayServer::start(KEY).await;
    let fields = json!([["to", "{to}"], ["text", "{text}"], ["key", "{secret.key}"]]);
    for (method, body) in [
        ("GET", json!({ "query": fields })),
        ("POST", json!({ "body": { "form": fields } })),
        (
            "POST",
            json!({ "body": { "json": { "to": "{to_plus}", "text": "{text}", "more": [{ "id": "{message_id}" }, 7] } } }),
        ),
        (
            "PUT",
            json!({ "query": [["key", "{secret.key}"]], "body": { "json": { "to": "{to}", "text": "{{{text}" } } }),
        ),
    ] {
        let account =
            Account::Gateway(Box::new(gateway(description(&server, method, body), OWN).unwrap()));
        let message = text();

        let accepted = account.send(&http(), &message).await.unwrap();

        let sent = server.sent_to(DIGITS);
        let last = sent.last().unwrap();
        assert_eq!(accepted.provider_id.as_deref(), Some(last.id.as_str()));
        let told = last.content["text"].as_str().unwrap();
        assert!(
            told.contains("& \"key\" {to}\n@shanti"),
            "what a text holds is not filled in: {told}"
        );
        assert_eq!(server.calls().last().unwrap().header("x-template"), "1107160000000000001");
        assert_discreet(&account);
    }
}

#[tokio::test]
async fn a_gateways_no_is_read_as_its_settings_say() {
    let server = GatewayServer::start(KEY).await;
    let body = json!({ "body": { "json": { "to": "{to}", "text": "{text}" } } });
    let account =
        Account::Gateway(Box::new(gateway(description(&server, "POST", body), OWN).unwrap()));
    let said =
        |ok: Value, code: &str| Fault::json(200, &json!({ "result": { "ok": ok, "code": code } }));
    for (fault, class, reached) in [
        (said(json!(false), "E_KEY"), Account_, Reached::Answered),
        (said(json!(false), "E_BUSY"), Transient, Reached::Answered),
        (said(json!(false), "E_DND"), Recipient, Reached::Answered),
        (said(json!(false), DIGITS), Refused, Reached::Answered),
        (said(json!("true"), "OK"), Refused, Reached::Answered),
        (said(json!(true), "OK"), Transient, Reached::Perhaps), // without an id
        (Fault::html(200), Transient, Reached::Perhaps),
        (Fault::status(500), Transient, Reached::Answered),
        (Fault::too_many(None), Pace, Reached::Answered),
        (Fault::status(404), Refused, Reached::Answered),
        (Fault::moved("http://127.0.0.1:9/"), Refused, Reached::Answered),
        (Fault::ResetAfter, Transient, Reached::Perhaps),
    ] {
        server.play(fault.clone());
        let failure = account.send(&http(), &text()).await.unwrap_err();
        assert_eq!((failure.class, failure.reached), (class, reached), "{fault:?}");
        assert_discreet(&(failure.to_string(), failure));
    }
}

#[tokio::test]
async fn a_gateways_reports_are_mapped() {
    let server = GatewayServer::start(KEY).await;
    let gateway = gateway(description(&server, "POST", json!({})), OWN).unwrap();

    let delivered = gateway.receipts(b"msgid=gw-1&mobile=%2B919876543210&status=DELIVRD");
    assert_eq!(delivered[0].status, Reported::Delivered);
    assert_eq!(
        (delivered[0].provider_id.as_str(), delivered[0].to.as_deref()),
        ("gw-1", Some(DIGITS))
    );
    let failed = gateway.receipts(b"msgid=gw-1&status=UNDELIV");
    assert_eq!(failed[0].failure.as_ref().unwrap().class, Recipient);
    for nonsense in ["", "msgid=gw-1", "status=DELIVRD", "msgid=gw-1&status=NEWS"] {
        assert_eq!(gateway.receipts(nonsense.as_bytes()), []);
    }
}

#[tokio::test]
async fn a_description_that_could_not_be_sent_is_not_saved() {
    let server = GatewayServer::start(KEY).await;
    let wrong = |body: Value| gateway(description(&server, "POST", body), OWN).unwrap_err();

    assert_eq!(wrong(json!({ "url": "sms" })), Wrong::Url);
    assert_eq!(wrong(json!({ "url": "https://evil.example/" })), Wrong::Barred(Barred::Host));
    for inside in
        ["http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://0/"]
    {
        assert_eq!(wrong(json!({ "url": inside })), Wrong::Barred(Barred::Private), "{inside}");
    }
    for header in ["Host", "content-length", "a b", "X\r\nY"] {
        assert_eq!(wrong(json!({ "headers": [[header, "x"]] })), Wrong::Header(header.into()));
    }
    assert_eq!(wrong(json!({ "headers": [["X-A", "a\r\nB: c"]] })), Wrong::Header("X-A".into()));
    for text in ["{nobody}", "{secret.other}", "{var.}", "{to"] {
        let body = json!({ "body": { "json": { "a": [{ "b": text }] } } });
        assert_eq!(wrong(body), Wrong::Placeholder(text.into()));
    }
    assert_eq!(wrong(json!({ "id": "result" })), Wrong::Pointer("result".into()));
    assert_eq!(wrong(json!({ "success": { "statuses": [] } })), Wrong::Success);
    let get = description(&server, "GET", json!({ "body": { "form": [] } }));
    assert_eq!(gateway(get, OWN).unwrap_err(), Wrong::BodyOfGet);
}

#[tokio::test]
async fn a_listed_name_that_points_inside_is_not_called() {
    let server = GatewayServer::start(KEY).await;
    let url = format!("https://localhost:{}/send", server.address.port());
    let fields = json!({ "url": url, "body": { "json": { "to": "{to}", "text": "{text}" } } });
    let account = gateway(description(&server, "POST", fields), &["localhost"]).unwrap();
    let account = Account::Gateway(Box::new(account));
    let list = AllowList::new(["localhost"]).unwrap();
    let clock = nadi::time::Clock::system();
    let http = nadi::messaging::channels::http::Http::new(Default::default(), list, clock).unwrap();

    let failure = account.send(&http, &text()).await.unwrap_err();

    assert_eq!((failure.class, failure.reached), (Account_, Reached::Nothing));
    assert!(failure.message.contains("inside"), "{failure}");
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_key_with_line_breaks_does_not_leave() {
    let server = Msg91Server::start(KEY).await;
    let auth_key = SecretString::from("key\r\nX-Evil: 1");
    let account = Account::Msg91(msg91::Account { base: server.url().parse().unwrap(), auth_key });

    let failure = account.send(&http(), &text()).await.unwrap_err();

    assert_eq!((failure.class, failure.code.as_deref()), (OurRequest, Some("bad_header")));
    assert!(server.calls().is_empty());
}
