//! What WhatsApp's webhook brings, as pure functions: whether it is genuine, and what it says. News may come twice, late,
//! out of order and with fields of tomorrow; whatever is not understood is passed over.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::errors;
use crate::messaging::channels::{Receipt, Reported};

/// Whether `X-Hub-Signature-256` is right for these very bytes. Takes the same time for every wrong one.
pub fn is_genuine(app_secret: &SecretString, header: Option<&str>, raw: &[u8]) -> bool {
    let Some(signature) = header.and_then(|header| header.strip_prefix("sha256=")).and_then(unhex)
    else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(app_secret.expose_secret().as_bytes())
        .expect("any length of key will do");
    mac.update(raw);
    mac.verify_slice(&signature).is_ok()
}

/// The challenge to answer with, when it is Meta who subscribes.
pub fn challenge<'a>(
    verify_token: &SecretString,
    mode: Option<&str>,
    token: Option<&str>,
    challenge: Option<&'a str>,
) -> Option<&'a str> {
    let known = verify_token.expose_secret().as_bytes();
    let same = token.unwrap_or_default().as_bytes().ct_eq(known);
    (bool::from(same) && !known.is_empty() && mode == Some("subscribe")).then_some(challenge?)
}

/// One piece of news, and the sending number that it concerns. That must be the clinic's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub phone_number_id: String,
    pub happened: Happened,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Receipt(Receipt),
    /// Somebody wrote to the clinic.
    Message(Inbound),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    pub id: String,
    /// In digits.
    pub from: String,
    /// The message of ours that it answers.
    pub context_id: Option<String>,
    pub at: Option<DateTime<Utc>>,
    pub said: Said,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Said {
    /// A button of ours was pressed, in a template or under a text.
    Button {
        payload: String,
    },
    Text(String),
    /// A picture, a voice, whatever else.
    Other,
}

// What people write is nobody's business in a log.
impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = match self.said {
            Said::Button { .. } => "a button",
            Said::Text(_) => "a text",
            Said::Other => "something else",
        };
        f.debug_struct("Inbound").field("id", &self.id).field("said", &said).finish_non_exhaustive()
    }
}

impl News {
    /// The same for the same piece of news, however often it comes.
    pub fn event_key(&self) -> String {
        match &self.happened {
            Happened::Receipt(receipt) => receipt.event_key(),
            Happened::Message(message) => format!("{}|message", message.id),
        }
    }
}

impl Inbound {
    /// Whether the person wants no more messages.
    pub fn is_opt_out(&self) -> bool {
        let Said::Text(text) = &self.said else { return false };
        let word = text.trim().trim_matches(['.', '!', '।', '"', '\'']).to_lowercase();
        [
            "stop",
            "stop all",
            "stopall",
            "unsubscribe",
            "cancel all",
            "बंद",
            "बंद करो",
            "बंद करें",
            "रोकें",
            "நிறுத்து",
            "നിർത്തുക",
        ]
        .contains(&word.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's body is not JSON")]
pub struct NotJson;

/// All that a delivery says, in its order.
///
/// # Errors
/// When it is not JSON at all.
pub fn read(raw: &[u8]) -> Result<Vec<News>, NotJson> {
    let body: Value = serde_json::from_slice(raw).map_err(|_| NotJson)?;
    let mut news = Vec::new();
    for entry in list(&body["entry"]) {
        for change in list(&entry["changes"]) {
            let value = &change["value"];
            let Some(number) = value["metadata"]["phone_number_id"].as_str() else { continue };
            let receipts =
                list(&value["statuses"]).iter().filter_map(receipt).map(Happened::Receipt);
            let messages =
                list(&value["messages"]).iter().filter_map(inbound).map(Happened::Message);
            news.extend(
                receipts
                    .chain(messages)
                    .map(|happened| News { phone_number_id: number.to_owned(), happened }),
            );
        }
    }
    Ok(news)
}

fn receipt(status: &Value) -> Option<Receipt> {
    let reported = match status["status"].as_str()? {
        "sent" => Reported::Sent,
        "delivered" => Reported::Delivered,
        "read" => Reported::Read,
        "failed" => Reported::Failed,
        _ => return None, // `deleted`, `warning` and what else may come
    };
    let failed = reported == Reported::Failed;
    Some(Receipt {
        provider_id: filled(&status["id"])?,
        to: filled(&status["recipient_id"]),
        status: reported,
        failure: failed.then(|| errors::judge(&status["errors"][0], None)),
        at: instant(&status["timestamp"]),
    })
}

fn inbound(message: &Value) -> Option<Inbound> {
    let said = match message["type"].as_str()? {
        "button" => filled(&message["button"]["payload"]).map(|payload| Said::Button { payload }),
        "interactive" => filled(&message["interactive"]["button_reply"]["id"])
            .map(|payload| Said::Button { payload }),
        "text" => filled(&message["text"]["body"]).map(Said::Text),
        _ => None,
    };
    Some(Inbound {
        id: filled(&message["id"])?,
        from: filled(&message["from"])?,
        context_id: filled(&message["context"]["id"]),
        at: instant(&message["timestamp"]),
        said: said.unwrap_or(Said::Other),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn filled(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Seconds, as a text by the book.
fn instant(value: &Value) -> Option<DateTime<Utc>> {
    let seconds = value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_i64())?;
    DateTime::from_timestamp(seconds, 0)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
