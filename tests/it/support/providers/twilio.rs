//! A stand-in for Twilio: forms, Basic credentials, and callbacks signed as it signs them.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use super::server::{Call, Judged, ProviderServer};
use super::webhook::Webhook;

pub struct TwilioServer {
    server: ProviderServer,
    auth_token: String,
}

impl Deref for TwilioServer {
    type Target = ProviderServer;

    fn deref(&self) -> &ProviderServer {
        &self.server
    }
}

impl TwilioServer {
    pub async fn start(account_sid: &str, auth_token: &str) -> Self {
        let basic = format!("Basic {}", STANDARD.encode(format!("{account_sid}:{auth_token}")));
        let path = format!("/2010-04-01/Accounts/{account_sid}/Messages.json");
        let count = AtomicUsize::new(0);
        let judge = move |call: &Call| {
            let count = count.fetch_add(1, Ordering::Relaxed);
            match check(call, &basic, &path) {
                Ok(()) => {
                    let sid = format!("SM{count:032x}");
                    let answer = json!({ "sid": sid, "status": "queued", "error_code": null });
                    let form = call.form();
                    Judged::taken(201, answer, sid, form["To"].clone(), json!(form))
                }
                Err((status, code, what)) => {
                    let answer = json!({ "code": code, "message": what, "status": status });
                    Judged::refused(status, answer, format!("{code} {what}: {}", call.target))
                }
            }
        };
        let server = ProviderServer::start(judge).await;
        Self { server, auth_token: auth_token.to_owned() }
    }

    /// A status callback, signed for the public address that it goes to.
    pub fn callback(
        &self,
        url: &str,
        sid: &str,
        status: &str,
        error_code: Option<&str>,
    ) -> Webhook {
        let mut fields = vec![("MessageSid", sid), ("MessageStatus", status)];
        fields.extend(error_code.map(|code| ("ErrorCode", code)));
        let parsed = url::Url::parse(url).unwrap();
        let webhook = Webhook::form(parsed.path(), &fields);
        fields.sort();
        let signed: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let mut mac = Hmac::<Sha1>::new_from_slice(self.auth_token.as_bytes()).unwrap();
        mac.update(format!("{url}{signed}").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        webhook.with("X-Twilio-Signature", signature)
    }
}

fn check(call: &Call, basic: &str, path: &str) -> Result<(), (u16, i64, &'static str)> {
    let fine =
        |fine: bool, status, code, what| if fine { Ok(()) } else { Err((status, code, what)) };
    fine(call.header("authorization") == basic, 401, 20003, "Authenticate")?;
    fine(call.method == "POST" && call.target == path, 404, 20404, "not found")?;
    let form = call.form();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let digits = field("To").strip_prefix('+').unwrap_or_default();
    let number = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fine(number, 400, 21211, "Invalid 'To' Phone Number")?;
    let senders =
        ["From", "MessagingServiceSid"].into_iter().filter(|name| !field(name).is_empty());
    fine(senders.count() == 1, 400, 21603, "A 'From' phone number is required")?;
    fine(!field("Body").is_empty(), 400, 21602, "Message body is required")?;
    fine(field("Body").chars().count() <= 1600, 400, 21617, "The concatenated message body")?;
    let validity = field("ValidityPeriod").parse::<u32>().is_ok_and(|s| (1..=36_000).contains(&s));
    fine(validity, 400, 21640, "ValidityPeriod")?;
    let callback = form.get("StatusCallback").is_none_or(|url| url::Url::parse(url).is_ok());
    fine(callback, 400, 21609, "Invalid 'StatusCallback' url")
}
