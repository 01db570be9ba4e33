//! A clinic's own words, through the API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestClinic;

const BOOKED: &str = "/messages/templates/appointment.booked?channel=email&language=en";
const CODE: &str = "/messages/templates/code.sign_in?channel=sms&language=en";

fn letter(body: &str) -> Value {
    json!({ "subject": "See you · {clinic}", "body": body })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_says_it_in_its_own_words_and_goes_back() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;

    let ours = admin.get(BOOKED).await.expect(200);
    assert_eq!((&ours.body["own"], ours.header("etag")), (&json!(false), "\"0\""));
    assert!(ours.body["body"].as_str().unwrap().starts_with("Dear {given_name},"));
    let mut wanted = ours.body.clone(); // the view may be sent back, with what is to change
    wanted["body"] = json!("Namaste {given_name}!\n\n{when}");
    let changed = admin.put(BOOKED, ours.header("etag"), &wanted).await.expect(200);
    assert_eq!((&changed.body["own"], &changed.body["body"]), (&json!(true), &wanted["body"]));
    assert_eq!(changed.body["subject"], ours.body["subject"]);
    let read = admin.get(BOOKED).await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&changed.body, changed.header("etag")));

    admin.put(BOOKED, ours.header("etag"), &wanted).await.expect(412);
    admin.send(admin.request(Method::PUT, BOOKED).json(&wanted)).await.expect(428);
    let stale = admin.request(Method::DELETE, BOOKED).header("if-match", "\"0\"");
    admin.send(stale).await.expect(412);
    let mut renamed = changed.body.clone();
    renamed["name"] = json!("appointment.moved");
    let refused = admin.put(BOOKED, changed.header("etag"), &renamed).await.expect(422);
    assert_eq!(refused.faults(), [("/name".into(), "read_only".into())]);

    admin.delete(BOOKED).await.expect(204);
    admin.delete(BOOKED).await.expect(404);
    let back = admin.get(BOOKED).await.expect(200);
    assert_eq!((&back.body, back.header("etag")), (&ours.body, "\"0\""));
    let again = admin.put(BOOKED, "\"0\"", &wanted).await.expect(200);
    assert_ne!(again.header("etag"), changed.header("etag"), "a tag never comes twice");
    for (action, times) in [("message_template.changed", 2), ("message_template.deleted", 1)] {
        let mut connection = clinic.connection().await;
        let noted: i64 = sqlx::query_scalar(
            "select count(*) from audit_log where action = $1 and role = 'clinic_admin'
             and details @> '{\"name\": \"appointment.booked\", \"channel\": \"email\", \"language\": \"en\"}'",
        )
        .bind(action)
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(noted, times, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_texts_are_listed_and_which_are_the_clinics_own() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    admin.put(BOOKED, "*", &letter("Dear {given_name}, {when}")).await.expect(200);

    let all = admin.get("/messages/templates").await.expect(200);
    let email = admin.get("/messages/templates?channel=email&language=hi").await.expect(200);

    let items = all.body["items"].as_array().unwrap();
    assert_eq!(items.len(), (10 * 3 + 8) * 4);
    let own: Vec<&Value> = items.iter().filter(|item| item["own"] == true).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(
        (&own[0]["name"], &own[0]["channel"], &own[0]["language"]),
        (&json!("appointment.booked"), &json!("email"), &json!("en"))
    );
    assert!(own[0]["placeholders"].as_array().unwrap().contains(&json!("given_name")));
    assert_eq!(email.body["items"].as_array().unwrap().len(), 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_cannot_be_saved() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    sqlx::query("update doctors set specialties = '{Infertility}'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let path = |name: &str, channel: &str| {
        format!("/messages/templates/{name}?channel={channel}&language=en")
    };
    let booked = |channel| path("appointment.booked", channel);
    let code = |body: &str| json!({ "body": body });
    let dlt = |text: &str| {
        json!({ "dlt": {
            "pe_id": "1101234567890123456", "header": "SHANTI",
            "dlt_template_id": "1107161234567890123", "text": text,
        }})
    };

    for (path, body, faults) in [
        (
            booked("email"),
            letter("Dear {given_name}, {when} {code} {}"),
            vec![("/body", "unknown_placeholder"), ("/body", "unknown_placeholder")],
        ),
        (booked("email"), letter("Dear {given_name, {when}"), vec![("/body", "stray_brace")]),
        (
            booked("email"),
            letter("Dear patient"),
            vec![("/body", "missing_placeholder"), ("/body", "missing_placeholder")],
        ),
        (
            booked("email"),
            letter(""),
            vec![
                ("/body", "required"),
                ("/body", "missing_placeholder"),
                ("/body", "missing_placeholder"),
            ],
        ),
        (
            booked("email"),
            json!({ "body": "Dear {given_name}, {when}" }),
            vec![("/subject", "required")],
        ),
        (
            booked("email"),
            json!({ "subject": "{doctor}, Infertility", "body": "Dear {given_name}, {when}" }),
            vec![("/subject", "not_in_subject"), ("/subject", "names_specialty")],
        ),
        (
            booked("email"),
            json!({ "subject": "a\nb", "body": "Dear {given_name}, {when}" }),
            vec![("/subject", "invalid_characters")],
        ),
        (
            booked("email"),
            json!({ "subject": "x".repeat(151), "body": "x".repeat(10_001), "text": 1 }),
            vec![("/text", "unknown_field")],
        ),
        (
            booked("sms"),
            json!({ "subject": "Hello", "body": "{when}" }),
            vec![("/subject", "not_for_channel")],
        ),
        (
            booked("sms"),
            json!({ "body": format!("{{when}} {}", "क".repeat(300)) }),
            vec![("/body", "too_many_segments")],
        ),
        (
            booked("whatsapp"),
            json!({ "body": "Dear {given_name}, {when}, {phone}." }),
            vec![("/body", "may_be_missing")],
        ),
        (
            booked("whatsapp"),
            json!({ "body": "Dear {given_name}, {when}.", "provider": dlt("x") }),
            vec![("/provider/dlt", "not_for_channel")],
        ),
        (
            booked("whatsapp"),
            json!({ "body": "Dear {given_name}, {when}.", "provider": { "whatsapp":
                { "name": "our_booking", "language": "en_GB", "parameters": ["when", "doctor"] } } }),
            vec![("/provider/whatsapp/parameters", "does_not_match")],
        ),
        (
            booked("whatsapp"),
            json!({ "body": "Dear {given_name}, {when}.", "provider": { "whatsapp": { "name": "Our Booking" } } }),
            vec![
                ("/provider/whatsapp/name", "invalid_format"),
                ("/provider/whatsapp/language", "required"),
            ],
        ),
        (
            path("code.sign_in", "sms"),
            code("Welcome to our clinic in the old town. {code}"),
            vec![("/body", "code_too_late")],
        ),
        (
            path("code.sign_in", "sms"),
            code("{clinic} sends you {code}"),
            vec![("/body", "code_too_late")],
        ),
        (
            path("code.sign_in", "sms"),
            code("{code}\n@elsewhere.example #{code}"),
            vec![("/body", "bad_autofill")],
        ),
        (path("code.sign_in", "sms"), code("no code"), vec![("/body", "missing_placeholder")]),
        (
            path("code.sign_in", "sms"),
            json!({ "body": "{code} for {clinic}", "provider": dlt("{#var#} for Shanti") }),
            vec![("/provider/dlt/text", "does_not_match")],
        ),
        (
            path("code.sign_in", "sms"),
            json!({ "body": "{code}", "provider": { "dlt": { "pe_id": "1", "header": "a b", "text": "{#var#}" } } }),
            vec![
                ("/provider/dlt/pe_id", "invalid_format"),
                ("/provider/dlt/header", "invalid_format"),
                ("/provider/dlt/dlt_template_id", "required"),
            ],
        ),
        (
            path("account.invited", "email"),
            letter("Dear {given_name}"),
            vec![("/body", "missing_placeholder")],
        ),
        (
            path("account.invited", "sms"),
            letter("Dear {given_name}"),
            vec![("channel", "not_for_channel")],
        ),
        (booked("pigeon"), letter("x"), vec![("channel", "unknown_value")]),
        (booked("email") + "&x=1", letter("x"), vec![("x", "unknown_field")]),
    ] {
        let refused = admin.put(&path, "*", &body).await.expect(422);
        let faults: Vec<(String, String)> =
            faults.into_iter().map(|(at, code)| (at.to_owned(), code.to_owned())).collect();
        assert_eq!(refused.faults(), faults, "{path} {body}");
    }
    for name in ["appointment.forgotten", "x", "%00", "code.sign_in%20"] {
        admin.get(&path(name, "email")).await.expect(404);
        admin.put(&path(name, "email"), "*", &letter("x")).await.expect(404);
    }
    admin.get("/messages/templates/code.sign_in?language=ta").await.expect(422);
    assert_eq!(clinic.count("select count(*) from message_templates").await, 0);
    assert_eq!(
        clinic.count("select count(*) from audit_log where entity = 'message_template'").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_it_would_be_and_what_it_would_cost() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let preview = async |path: &str, body: Value| {
        let (path, query) = path.split_once('?').unwrap();
        admin.post(&format!("{path}/preview?{query}"), &body).await
    };

    let standing = preview(CODE, json!({})).await.expect(200);
    assert!(
        standing.body["text"].as_str().unwrap().starts_with("482913 is your code to sign in at")
    );
    let sms = &standing.body["sms"];
    assert_eq!(
        (&sms["encoding"], &sms["segments"], &sms["cost"]),
        (&json!("gsm7"), &json!(1), &Value::Null)
    );
    assert_eq!(standing.body["warnings"][0]["code"], "not_registered");

    let price = json!({ "sms_segment_price": { "currency": "INR", "amount_minor": 25 } });
    admin.put("/settings/messaging", "*", &price).await.expect(200);
    let hindi = format!("{{code}} आपका कोड है। {}", "क".repeat(150));
    let unsaved = preview(CODE, json!({ "body": hindi })).await.expect(200);
    let sms = &unsaved.body["sms"];
    assert_eq!((&sms["encoding"], &sms["segments"]), (&json!("ucs2"), &json!(3)));
    assert_eq!(sms["cost"], json!({ "currency": "INR", "amount_minor": 75 }));
    let warned: Vec<&str> = unsaved.body["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["code"].as_str().unwrap())
        .collect();
    assert_eq!(warned, ["many_segments", "not_registered"]);
    assert_eq!(clinic.count("select count(*) from message_templates").await, 0, "it is not saved");

    let whatsapp = BOOKED.replace("email", "whatsapp");
    let template =
        preview(&whatsapp, json!({ "body": "{given_name}, see you on {when} {given_name}" }))
            .await
            .expect(200);
    assert_eq!(template.body["to_register"], "{{1}}, see you on {{2}} {{1}}");
    assert_eq!(template.body["parameters"], json!(["Lakshmi", "Monday, 23 November 2026, 10:30"]));
    assert_eq!(template.body["warnings"][0]["code"], "placeholder_at_edge");

    let page = preview(BOOKED, letter("Dear {given_name}, <b>{when}</b>")).await.expect(200);
    assert!(
        page.body["html"]
            .as_str()
            .unwrap()
            .contains("&lt;b&gt;Monday, 23 November 2026, 10:30&lt;/b&gt;")
    );
    assert_eq!(page.body["subject"], "See you · shanti clinic");
    let refused = preview(BOOKED, letter("Dear {nobody}")).await.expect(422);
    assert_eq!(refused.faults()[0], ("/body".into(), "unknown_placeholder".into()));
}
