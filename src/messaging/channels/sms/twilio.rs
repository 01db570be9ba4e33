//! Twilio: a form in, JSON out, callbacks signed with HMAC-SHA1 over the address and the fields. It has no idempotency
//! key, so a second try after a silence may be a second message.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha1::Sha1;
use subtle::ConstantTimeEq;
use url::Url;

use super::{Table, Text, bad_number, form, judge, number, text, unreadable};
use crate::messaging::channels::http::{Http, Reply, Request};
use crate::messaging::channels::{Accepted, ErrorClass, Failure, Outcome, Outgoing, digits};
use crate::messaging::channels::{Receipt, Reported};

/// What one message may hold.
const LONGEST_TEXT: usize = 1600;
/// How long it may wait there.
const VALIDITY: std::ops::RangeInclusive<u64> = 1..=36_000;

/// A clinic's account.
#[derive(Clone, Debug)]
pub struct Account {
    /// `https://api.twilio.com`, or what stands in for it.
    pub base: Url,
    pub account_sid: String,
    pub auth_token: SecretString,
    pub sender: Sender,
    pub status_callback: Option<Url>,
}

#[derive(Clone, Debug)]
pub enum Sender {
    Number(String),
    MessagingService(String),
}

use ErrorClass::*;

pub const TABLE: Table = &[
    (20003, Account, "the account could not sign in"),
    (20005, Account, "the account is not active"),
    (20429, Pace, "too many calls at once"),
    (21211, Recipient, "the number is not one"),
    (21214, Recipient, "the number cannot be reached"),
    (21217, Recipient, "the number is not one"),
    (21265, Recipient, "the number is a short code"),
    (21408, Policy, "the account may not write to this country"),
    (21602, OurRequest, "there is no text"),
    (21603, Account, "there is no sender"),
    (21604, OurRequest, "there is no number"),
    (21606, Account, "the sender is not the account's"),
    (21610, Recipient, "this person wants no messages"),
    (21611, Pace, "the sender's queue is full"),
    (21612, Recipient, "there is no way from this sender to this number"),
    (21614, Recipient, "the number is no mobile"),
    (21617, OurRequest, "the text is too long"),
    (21659, Account, "the sender is not the account's"),
    (21703, Account, "the messaging service has no sender"),
    (30001, Pace, "the queue is full"),
    (30002, Account, "the account is suspended"),
    (30003, Transient, "the telephone is off"),
    (30004, Recipient, "the number or its operator blocks it"),
    (30005, Recipient, "the number does not exist"),
    (30006, Recipient, "the number is a landline"),
    (30007, Policy, "the operator filtered it"),
    (30008, Transient, "an unknown error at the operator"),
    (30034, Policy, "the sender is not registered for such messages"),
    (30410, Transient, "the operator took too long"),
];

/// Of no use at any time.
const DEAD_NUMBERS: &[i64] = &[21211, 21217, 21265, 21614, 30005, 30006];

impl Account {
    pub(super) async fn send(&self, http: &Http, message: &Outgoing<Text>) -> Outcome {
        digits(&message.to)?;
        let body = message.content.text.expose_secret();
        if body.is_empty() || body.chars().count() > LONGEST_TEXT {
            return Err(Failure::ours(
                "too_long",
                "the text is empty or has more than 1600 characters",
            ));
        }
        let validity = validity(message.time_left).to_string();
        let callback = self.status_callback.as_ref().map(Url::as_str);
        let mut fields = vec![("To", message.to.as_str()), ("Body", body)];
        fields.push(match &self.sender {
            Sender::Number(number) => ("From", number),
            Sender::MessagingService(sid) => ("MessagingServiceSid", sid),
        });
        fields.push(("ValidityPeriod", &validity));
        fields.extend(callback.map(|callback| ("StatusCallback", callback)));
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::ours("bad_base", "the base URL cannot have a path"))?
            .pop_if_empty()
            .extend(["2010-04-01", "Accounts", &self.account_sid, "Messages.json"]);
        let basic = format!("{}:{}", self.account_sid, self.auth_token.expose_secret());
        let basic = SecretString::from(format!("Basic {}", STANDARD.encode(basic)));
        let request = Request::form(url, &fields).secret_header(AUTHORIZATION, &basic)?;
        let reply = http.call(message.clinic_id, message.lane, message.time_left, request).await?;
        accepted(&reply)
    }
}

/// The time left, as it takes it.
fn validity(time_left: Duration) -> u64 {
    time_left.as_secs().clamp(*VALIDITY.start(), *VALIDITY.end())
}

fn accepted(reply: &Reply) -> Outcome {
    let answer = reply.json();
    if !(200..300).contains(&reply.status) {
        let code = answer.ok().and_then(|answer| number(&answer["code"]));
        let failure = judge(TABLE, code, Some(reply.status)).retry_after(reply.retry_after);
        return Err(bad_number(failure, DEAD_NUMBERS));
    }
    let answer = answer.map_err(|why| unreadable(reply, why))?;
    match text(&answer["sid"]) {
        // It says at once of some that they have failed.
        Some(_)
            if matches!(answer["status"].as_str(), Some("failed" | "undelivered" | "canceled")) =>
        {
            let failure = judge(TABLE, number(&answer["error_code"]), Some(reply.status));
            Err(bad_number(failure, DEAD_NUMBERS))
        }
        Some(sid) => {
            Ok(Accepted { provider_id: Some(sid), http: Some(reply.status), recipient_id: None })
        }
        None => Err(Failure::unreadable(reply.status, "no_id", "the answer names no message")),
    }
}

/// What a status callback says.
pub fn receipt(raw: &[u8]) -> Option<Receipt> {
    let fields = form(raw);
    let sid = text(&fields["MessageSid"]).or_else(|| text(&fields["SmsSid"]))?;
    let status = fields["MessageStatus"].as_str().or_else(|| fields["SmsStatus"].as_str())?;
    let reported = match status {
        "sent" => Reported::Sent,
        "delivered" | "partially_delivered" => Reported::Delivered,
        "read" => Reported::Read,
        "failed" | "undelivered" | "canceled" => Reported::Failed,
        _ => return None, // accepted, scheduled, queued, sending: known already
    };
    let failure = (reported == Reported::Failed)
        .then(|| bad_number(judge(TABLE, number(&fields["ErrorCode"]), None), DEAD_NUMBERS));
    let to = text(&fields["To"]).map(|to| to.trim_start_matches('+').to_owned());
    Some(Receipt { provider_id: sid, to, status: reported, failure, at: None })
}

/// Whether `X-Twilio-Signature` is right for a form posted to this public address.
pub fn is_genuine(auth_token: &SecretString, header: Option<&str>, url: &str, raw: &[u8]) -> bool {
    let fields: BTreeSet<(String, String)> =
        url::form_urlencoded::parse(raw).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let mut signed = url.to_owned();
    for (name, value) in &fields {
        signed.push_str(name);
        signed.push_str(value);
    }
    signature_is(auth_token, header, &signed)
}

/// The same for a body that is no form: the address holds its digest.
pub fn is_genuine_json(
    auth_token: &SecretString,
    header: Option<&str>,
    url: &str,
    raw: &[u8],
) -> bool {
    let Ok(parsed) = Url::parse(url) else { return false };
    let Some((_, named)) = parsed.query_pairs().find(|(name, _)| name == "bodySHA256") else {
        return false;
    };
    let digest = crate::crypto::sha256(raw).map(|byte| format!("{byte:02x}")).concat();
    let same = bool::from(named.to_ascii_lowercase().as_bytes().ct_eq(digest.as_bytes()));
    signature_is(auth_token, header, url) && same
}

fn signature_is(auth_token: &SecretString, header: Option<&str>, signed: &str) -> bool {
    let Some(signature) = header.and_then(|header| STANDARD.decode(header).ok()) else {
        return false;
    };
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.expose_secret().as_bytes())
        .expect("any length of key will do");
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).is_ok()
}

/// The body of a callback that came as JSON, as a form: the same names.
pub fn receipt_of_json(raw: &[u8]) -> Option<Receipt> {
    let fields: Value = serde_json::from_slice(raw).ok()?;
    let pairs = fields.as_object()?.iter().filter_map(|(name, value)| Some((name, text(value)?)));
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    receipt(form.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const FORM: &[u8] = b"CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212";
    const SIGNATURE: &str = "0/KCTR6DLpKmkAf8muzZqo1nDgQ=";

    #[test]
    fn the_published_signature_checks_out() {
        let token = SecretString::from("12345");

        assert!(is_genuine(&token, Some(SIGNATURE), URL, FORM));
        let reordered = b"To=%2B18005551212&Digits=1234&CallSid=CA1234567890ABCDE&From=%2B12349013030&Caller=%2B12349013030";
        assert!(is_genuine(&token, Some(SIGNATURE), URL, reordered));
        assert!(!is_genuine(&token, Some(SIGNATURE), &URL[..URL.len() - 1], FORM));
        assert!(!is_genuine(&token, Some(SIGNATURE), URL, &FORM[..FORM.len() - 1]));
        assert!(!is_genuine(&"12346".into(), Some(SIGNATURE), URL, FORM));
        for wrong in [None, Some(""), Some("0/KCTR6DLpKmkAf8muzZqo1nDgR="), Some("not base64")] {
            assert!(!is_genuine(&token, wrong, URL, FORM));
        }
    }

    #[test]
    fn a_message_waits_there_no_longer_than_it_lives() {
        for (left, asked) in [(0, 1), (240, 240), (1_000_000, 36_000)] {
            assert_eq!(validity(Duration::from_secs(left)), asked);
        }
    }
}
