//! The webhooks in the API's description: what is called by providers is no operation of poem-openapi's, and is told by hand.

use serde_json::{Value, json};

fn answers(good: &str) -> Value {
    json!({
        "200": { "description": good },
        "403": { "description": "It is not from the provider: nothing was changed." },
        "408": { "description": "The body took too long." },
        "413": { "description": "The body has more than 1 MiB." },
        "429": { "description": "Too many that were refused from this address." },
    })
}

fn in_path(name: &str, words: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": words, "schema": { "type": "string" } })
}

fn in_query(name: &str, words: &str) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": words, "schema": { "type": "string" } })
}

fn operation(id: &str, summary: &str, words: &str, parameters: Value, kind: &str) -> Value {
    json!({
        "operationId": id, "summary": summary, "description": words, "tags": ["webhooks"], "security": [],
        "parameters": parameters, "responses": answers("Taken, and worked on from now."),
        "requestBody": { "required": true, "content": { kind: { "schema": {} } } },
    })
}

/// Paths of the webhooks, as they are below `/api/v1`; without that they are the same.
pub fn paths() -> Value {
    let key =
        "The part of the address that nobody can guess: see `state` of `GET /settings/messaging`.";
    let provider = in_path("provider", "`msg91`, `twilio` or `gateway`.");
    let mut subscribe = operation(
        "subscribeWhatsapp",
        "Meta asks whether the address is ours",
        "Answers `hub.challenge` to who knows the verify token.",
        json!([
            in_query("hub.mode", "`subscribe`"),
            in_query("hub.verify_token", "As set."),
            in_query("hub.challenge", "Given back."),
        ]),
        "text/plain",
    );
    subscribe.as_object_mut().expect("made above").remove("requestBody");
    let whatsapp = operation(
        "hearWhatsapp",
        "Meta reports messages, replies and opt-outs",
        "Signed with the app secret: `X-Hub-Signature-256`.",
        json!([]),
        "application/json",
    );
    let sms = |id, parameters| {
        let words = "Twilio's is signed (`X-Twilio-Signature`); others know the address.";
        operation(id, "A provider reports what became of an SMS", words, parameters, "*/*")
    };
    json!({
        "/webhooks/whatsapp": { "get": subscribe, "post": whatsapp },
        "/webhooks/sms/{provider}/{key}": {
            "post": sms("hearSms", json!([provider, in_path("key", key)])),
        },
        "/webhooks/sms/{provider}": {
            "post": sms("hearSmsByQuery", json!([provider, in_query("key", key)])),
        },
        "/webhooks/email/generic": {
            "post": operation(
                "hearEmail",
                "A mail provider reports bounces and complaints",
                "`{to, event, id?}` or a list of them; `event` is `bounced` or `complained`, others are passed over.",
                json!([in_query("key", key)]),
                "application/json",
            ),
        },
        "/webhooks/email/bounces/{key}": {
            "post": operation(
                "hearReturnedLetter",
                "A letter came back",
                "The report (RFC 3464) as the mail server of the bounce domain got it. Other mail is passed over.",
                json!([in_path("key", key), in_query("to", "Whom it came to, where its headers do not say.")]),
                "message/rfc822",
            ),
        },
    })
}
