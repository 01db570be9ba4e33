//! MSG91: its templates ("flows") are filled in there. A failure may come with 200, so the body decides; reports carry no
//! signature, so their address must be one that nobody can guess.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

use super::{Table, Text, bad_number, form, judge, number, text, unreadable};
use crate::messaging::channels::http::{Http, Reply, Request};
use crate::messaging::channels::{Accepted, ErrorClass, Failure, Outcome, Outgoing, digits};
use crate::messaging::channels::{Receipt, Reported};

/// A clinic's account.
#[derive(Clone, Debug)]
pub struct Account {
    /// `https://control.msg91.com`, or what stands in for it.
    pub base: Url,
    pub auth_key: SecretString,
}

use ErrorClass::*;

/// Codes of the answer, as its help and those who resell it list them.
pub const TABLE: Table = &[
    (101, OurRequest, "there is no number"),
    (102, OurRequest, "there is no text"),
    (103, OurRequest, "there is no sender"),
    (105, Account, "there is no password"),
    (106, Account, "there is no key"),
    (201, Account, "the account is not known"),
    (202, Recipient, "the number is not one"),
    (203, Template, "the sender or its registration is wrong"),
    (207, Account, "the key is wrong"),
    (208, Account, "this server's address is barred"),
    (211, Template, "there is no such template"),
    (301, Account, "there is no money left"),
    (302, Account, "the account has expired"),
    (303, Account, "the account is banned"),
    (306, Transient, "the route is closed for now"),
    (310, Template, "the text is too long"),
    (311, RecipientPace, "the same text went to this number within ten seconds"),
    (400, Template, "there is no such template"),
    (418, Account, "this server's address is not on the account's list"),
];

/// Codes of reports.
pub const REPORTS: Table = &[
    (2, Recipient, "the operator could not deliver it"),
    (9, Recipient, "the number takes no such messages"),
    (16, Policy, "the operator rejected it"),
    (17, Recipient, "the number is blocked"),
    (25, Policy, "the provider rejected it"),
];

impl Account {
    pub(super) async fn send(&self, http: &Http, message: &Outgoing<Text>) -> Outcome {
        let to = digits(&message.to)?;
        let Some(template_id) = &message.content.template_id else {
            return Err(Failure::ours(
                "no_template",
                "the message has no template at the provider",
            ));
        };
        let mut recipient = Map::from_iter([("mobiles".to_owned(), Value::from(to))]);
        for (name, value) in &message.content.variables {
            if name == "mobiles" {
                return Err(Failure::ours("bad_variable", "a variable has the name of the number"));
            }
            recipient.insert(name.clone(), value.expose_secret().into());
        }
        let body = json!({
            "template_id": template_id,
            "short_url": "0",
            "recipients": [recipient],
        });
        let url = self.base.join("/api/v5/flow");
        let url = url.map_err(|_| Failure::ours("bad_base", "the base URL cannot have a path"))?;
        let request = Request::json(url, &body)
            .secret_header(HeaderName::from_static("authkey"), &self.auth_key)?;
        let reply = http.call(message.clinic_id, message.lane, message.time_left, request).await?;
        accepted(&reply)
    }
}

fn accepted(reply: &Reply) -> Outcome {
    let answer = reply.json();
    if let Ok(answer) = &answer
        && answer["type"] == "success"
        && (200..300).contains(&reply.status)
    {
        let id = answer["message"].as_str().or_else(|| answer["request_id"].as_str());
        return match id.filter(|id| !id.is_empty()) {
            Some(id) => Ok(Accepted {
                provider_id: Some(id.to_owned()),
                http: Some(reply.status),
                recipient_id: None,
            }),
            None => Err(Failure::unreadable(reply.status, "no_id", "the answer names no request")),
        };
    }
    let good = (200..300).contains(&reply.status);
    match answer {
        Ok(answer) if !good || answer["type"] == "error" || answer["hasError"] == true => {
            let failure = judge(TABLE, number(&answer["code"]), Some(reply.status));
            Err(bad_number(failure, &[202]).retry_after(reply.retry_after))
        }
        Ok(_) => Err(unreadable(reply, "the answer says neither yes nor no")),
        Err(why) if good => Err(unreadable(reply, why)),
        Err(_) => Err(judge(TABLE, None, Some(reply.status)).retry_after(reply.retry_after)),
    }
}

/// What a report says: a form whose `data` is JSON in a text, or JSON itself; one event, a list of them, or requests with
/// the numbers of each.
pub fn receipts(content_type: &str, raw: &[u8]) -> Vec<Receipt> {
    let body = match content_type.starts_with("application/x-www-form-urlencoded") {
        true => {
            let fields = form(raw);
            match fields["data"].as_str() {
                Some(data) => serde_json::from_str(data).unwrap_or_default(),
                None => fields,
            }
        }
        false => serde_json::from_slice(raw).unwrap_or_default(),
    };
    let events = match &body {
        Value::Array(events) => events.as_slice(),
        event => std::slice::from_ref(event),
    };
    events.iter().flat_map(of_event).collect()
}

fn of_event(event: &Value) -> Vec<Receipt> {
    let named = |value: &Value| text(&value["requestId"]).or_else(|| text(&value["request_id"]));
    let request = named(event);
    match event["report"].as_array() {
        Some(numbers) => {
            numbers.iter().filter_map(|one| receipt(named(one).or(request.clone())?, one)).collect()
        }
        None => request.and_then(|request| receipt(request, event)).into_iter().collect(),
    }
}

fn receipt(provider_id: String, report: &Value) -> Option<Receipt> {
    let code = number(&report["status"]);
    let word = report["status"].as_str().unwrap_or_default().to_ascii_lowercase();
    let (status, failure) = match (code, word.as_str()) {
        (Some(1), _) | (None, "delivered") => (Reported::Delivered, None),
        (Some(3), _) | (None, "sent" | "submitted") => (Reported::Sent, None),
        (Some(code), _) => (Reported::Failed, Some(judge(REPORTS, Some(code), None))),
        (None, "failed" | "rejected" | "blocked" | "ndnc") => {
            (Reported::Failed, Some(judge(REPORTS, Some(2), None)))
        }
        _ => return None,
    };
    let to = text(&report["number"]).or_else(|| text(&report["mobile"]));
    let to = to.map(|to| to.trim_start_matches('+').to_owned());
    let at = report["date"].as_str().and_then(indian);
    Some(Receipt { provider_id, to, status, failure, at })
}

/// Its times have no offset, and are India's.
fn indian(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
    let india = FixedOffset::east_opt(5 * 3600 + 1800)?;
    Some(local.and_local_timezone(india).single()?.to_utc())
}
