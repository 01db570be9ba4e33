//! Deliveries to our webhooks, as providers make them: signed, badly signed, twice, too late.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

/// One delivery. It can be posted as often as one likes.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Webhook {
    pub fn json(path: &str, body: &Value) -> Self {
        // Meta escapes what is not ASCII, so the bytes differ from what would be written here.
        let text: String = body
            .to_string()
            .chars()
            .flat_map(|letter| match letter.is_ascii() {
                true => vec![letter],
                false => {
                    let mut units = [0; 2];
                    let units = letter.encode_utf16(&mut units).iter();
                    units
                        .flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>())
                        .collect()
                }
            })
            .collect();
        Self::new(path, "application/json", text.into_bytes())
    }

    pub fn form(path: &str, fields: &[(&str, &str)]) -> Self {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(path, "application/x-www-form-urlencoded", body.into_bytes())
    }

    fn new(path: &str, kind: &str, body: Vec<u8>) -> Self {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { path: path.to_owned(), headers, body }
    }

    /// From WhatsApp: these values for this number, in one delivery.
    pub fn whatsapp(phone_number_id: &str, values: &[Value]) -> Self {
        let changes: Vec<Value> = values
            .iter()
            .map(|value| {
                let mut value = value.clone();
                value["messaging_product"] = "whatsapp".into();
                value["metadata"] = json!({
                    "display_phone_number": "919000000001", "phone_number_id": phone_number_id,
                });
                json!({ "field": "messages", "value": value })
            })
            .collect();
        let body = json!({
            "object": "whatsapp_business_account",
            "entry": [{ "id": "200000000000001", "changes": changes }],
        });
        Self::json("/webhooks/whatsapp", &body)
    }

    /// A status of a message: `sent`, `delivered`, `read`, or `failed`.
    pub fn status(phone_number_id: &str, wamid: &str, status: &str, to: &str) -> Self {
        Self::whatsapp(phone_number_id, &[Self::status_value(wamid, status, to, None)])
    }

    /// `failed`, with its code.
    pub fn failed(phone_number_id: &str, wamid: &str, to: &str, code: i64) -> Self {
        Self::whatsapp(phone_number_id, &[Self::status_value(wamid, "failed", to, Some(code))])
    }

    pub fn status_value(wamid: &str, status: &str, to: &str, code: Option<i64>) -> Value {
        let mut entry = json!({
            "id": wamid, "status": status, "timestamp": "1795000000", "recipient_id": to,
            "conversation": { "id": "c1", "origin": { "type": "utility" } },
            "pricing": { "billable": true, "category": "utility", "a_field_of_tomorrow": [1, {}] },
        });
        if let Some(code) = code {
            let details = json!({ "details": "x" });
            entry["errors"] =
                json!([{ "code": code, "title": "x", "message": "x", "error_data": details }]);
        }
        json!({ "statuses": [entry] })
    }

    /// A quick reply under a template of ours.
    pub fn button(phone_number_id: &str, from: &str, context_id: &str, payload: &str) -> Self {
        let message = json!({
            "from": from, "id": format!("wamid.in.{}", uuid::Uuid::new_v4()), "timestamp": "1795000000",
            "type": "button", "button": { "payload": payload, "text": "हाँ" },
            "context": { "from": "919000000001", "id": context_id },
        });
        Self::whatsapp(phone_number_id, &[json!({ "messages": [message] })])
    }

    /// Free text.
    pub fn text(phone_number_id: &str, from: &str, text: &str) -> Self {
        let message = json!({
            "from": from, "id": format!("wamid.in.{}", uuid::Uuid::new_v4()), "timestamp": "1795000000",
            "type": "text", "text": { "body": text },
        });
        Self::whatsapp(phone_number_id, &[json!({ "messages": [message] })])
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Signed as Meta signs.
    pub fn signed(self, app_secret: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).unwrap();
        mac.update(&self.body);
        let hex: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.with("X-Hub-Signature-256", format!("sha256={hex}"))
    }

    /// One byte of the body changes after it was signed.
    pub fn tampered(mut self) -> Self {
        let at = self.body.iter().rposition(u8::is_ascii_digit).unwrap();
        self.body[at] = if self.body[at] == b'0' { b'1' } else { b'0' };
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Delivers it to the application, at this clinic's host.
    pub async fn post(&self, address: SocketAddr, host: &str) -> StatusCode {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut request = reqwest::Client::new()
            .post(format!("http://{address}{}", self.path))
            .header("Host", host)
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status()
    }
}
