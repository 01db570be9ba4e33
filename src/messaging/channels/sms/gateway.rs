//! Any gateway that speaks HTTP, described by a clinic's settings: what to send, what a yes looks like, how reports read.
//! Values are put into texts that are parsed already, or encoded on the way, so that none can change the request's shape.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{Text, form, text, unreadable};
use crate::messaging::channels::guard::{AllowList, Barred};
use crate::messaging::channels::http::{Http, Named, Reply, Request, secret_value};
use crate::messaging::channels::{Accepted, ErrorClass, Failure, Outcome, Outgoing};
use crate::messaging::channels::{Receipt, Reported, digits, plain_code};

/// A gateway, as the settings describe it. Texts may hold `{to}` (digits), `{to_plus}`, `{text}`, `{message_id}`,
/// `{template_id}`, `{dlt_template_id}`, `{var.NAME}` and, in place of what nobody may read there, `{secret.NAME}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub method: Verb,
    pub url: String,
    #[serde(default)]
    pub query: Vec<(String, String)>,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: Body,
    pub success: Success,
    /// Where the answer names the message.
    pub id: Option<String>,
    /// Where the answer tells its code, and what some codes mean.
    pub code: Option<String>,
    #[serde(default)]
    pub codes: BTreeMap<String, ErrorClass>,
    pub reports: Option<Reports>,
}

impl Description {
    /// Whether it makes the same request as another: what is secret there goes to the same place in the same way.
    pub fn asks_as(&self, other: &Self) -> bool {
        let request = |one: &Self| {
            let Description { method, url, query, headers, body, .. } = one;
            (*method, url.clone(), query.clone(), headers.clone(), body.clone())
        };
        request(self) == request(other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    Get,
    Post,
    Put,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    #[default]
    None,
    Json(Value),
    Form(Vec<(String, String)>),
}

/// What a yes looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    pub statuses: Vec<u16>,
    /// A place in the answer, and what it must hold.
    pub pointer: Option<String>,
    pub equals: Option<Value>,
}

/// How its reports read: pointers into JSON, or into a form as an object (`/status`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    pub format: Format,
    /// The list of events, where one body holds several.
    pub events: Option<String>,
    pub id: String,
    pub to: Option<String>,
    pub status: String,
    pub statuses: BTreeMap<String, Reported>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Json,
    Form,
}

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("the address is none")]
    Url,
    #[error("{0}")]
    Barred(#[from] Barred),
    #[error("{0} is no header that may be set")]
    Header(String),
    #[error("{0} stands for nothing")]
    Placeholder(String),
    #[error("{0} is no JSON pointer: it begins with a slash")]
    Pointer(String),
    #[error("a status to succeed with is missing")]
    Success,
    #[error("a GET has no body")]
    BodyOfGet,
}

/// A gateway that can be called.
#[derive(Clone, Debug)]
pub struct Gateway {
    description: Description,
    url: Url,
    secrets: BTreeMap<String, SecretString>,
}

const WORDS: &[&str] = &["to", "to_plus", "text", "message_id", "template_id", "dlt_template_id"];
/// What the client itself sets, or what would change whom we talk to.
const NOT_OURS: &[&str] = &["host", "content-length", "transfer-encoding", "connection", "upgrade"];

impl Gateway {
    /// Checks a description whole, so that what is saved can be sent.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn new(
        description: Description,
        secrets: BTreeMap<String, SecretString>,
        allowed: &AllowList,
    ) -> Result<Self, Fault> {
        let url = Url::parse(&description.url).map_err(|_| Fault::Url)?;
        allowed.check(&url)?;
        if description.success.statuses.is_empty() {
            return Err(Fault::Success);
        }
        if description.method == Verb::Get && description.body != Body::None {
            return Err(Fault::BodyOfGet);
        }
        let mut texts: Vec<&str> = Vec::new();
        for (name, value) in &description.headers {
            let fine =
                name.parse::<HeaderName>().is_ok_and(|name| !NOT_OURS.contains(&name.as_str()));
            if !fine || value.chars().any(char::is_control) {
                return Err(Fault::Header(name.clone()));
            }
            texts.push(value);
        }
        texts.extend(description.query.iter().map(|(_, value)| value.as_str()));
        match &description.body {
            Body::None => {}
            Body::Json(body) => strings(body, &mut texts),
            Body::Form(fields) => texts.extend(fields.iter().map(|(_, value)| value.as_str())),
        }
        for text in texts {
            filled(text, &|word| stands_for_something(word, &secrets).then(String::new))
                .map_err(Fault::Placeholder)?;
        }
        let reports = description.reports.as_ref();
        let pointers = [&description.id, &description.code, &description.success.pointer];
        let pointers = pointers
            .into_iter()
            .flatten()
            .chain(reports.into_iter().flat_map(|reports| [&reports.id, &reports.status]));
        for pointer in pointers {
            if !pointer.starts_with('/') {
                return Err(Fault::Pointer(pointer.clone()));
            }
        }
        Ok(Self { description, url, secrets })
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    pub(super) async fn send(&self, http: &Http, message: &Outgoing<Text>) -> Outcome {
        let request = self.request(message)?;
        let reply = http.call(message.clinic_id, message.lane, message.time_left, request).await?;
        self.accepted(&reply)
    }

    fn request(&self, message: &Outgoing<Text>) -> Result<Request, Failure> {
        let to = digits(&message.to)?;
        let word = |word: &str| self.word(word, to, message);
        let fill = |text: &str| {
            filled(text, &word).map_err(|_| {
                Failure::ours("no_value", "the message lacks a value that the gateway's text names")
            })
        };
        let mut url = self.url.clone();
        for (name, value) in &self.description.query {
            url.query_pairs_mut().append_pair(name, &fill(value)?);
        }
        let mut headers = HeaderMap::new();
        let body = match &self.description.body {
            Body::None => Vec::new(),
            Body::Json(body) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                filled_json(body, &fill)?.to_string().into_bytes()
            }
            Body::Form(fields) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, kind);
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &fill(value)?);
                }
                form.finish().into_bytes()
            }
        };
        for (name, value) in &self.description.headers {
            let name: HeaderName =
                name.parse().map_err(|_| Failure::ours("bad_header", "a header's name is none"))?;
            headers.insert(name, secret_value(&fill(value)?)?);
        }
        let method = match self.description.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
        };
        Ok(Request { method, url, named: Named::ByClinic, headers, body, is_file: false })
    }

    fn word(&self, word: &str, to: &str, message: &Outgoing<Text>) -> Option<String> {
        let content = &message.content;
        if let Some(name) = word.strip_prefix("secret.") {
            return Some(self.secrets.get(name)?.expose_secret().to_owned());
        }
        if let Some(name) = word.strip_prefix("var.") {
            let (_, value) = content.variables.iter().find(|(known, _)| known == name)?;
            return Some(value.expose_secret().to_owned());
        }
        match word {
            "to" => Some(to.to_owned()),
            "to_plus" => Some(message.to.clone()),
            "text" => Some(content.text.expose_secret().to_owned()),
            "message_id" => Some(message.message_id.to_string()),
            "template_id" => content.template_id.clone(),
            "dlt_template_id" => content.dlt_template_id.clone(),
            _ => None,
        }
    }

    fn accepted(&self, reply: &Reply) -> Outcome {
        let Description { success, id, code, codes, .. } = &self.description;
        let answer = reply.json();
        let at = |pointer: &Option<String>| {
            let (answer, pointer) = (answer.as_ref().ok()?, pointer.as_ref()?);
            answer.pointer(pointer)
        };
        let code = at(code).and_then(text);
        if let Some(class) = code.as_ref().and_then(|code| codes.get(code)) {
            let code = code.as_deref().and_then(plain_code);
            let says = "the gateway refused it";
            return Err(Failure::answered(*class, code, Some(reply.status), says)
                .retry_after(reply.retry_after));
        }
        if !success.statuses.contains(&reply.status) {
            let mut failure = super::judge(&[], None, Some(reply.status));
            failure.code = code.as_deref().and_then(plain_code);
            return Err(failure.retry_after(reply.retry_after));
        }
        if success.pointer.is_some() || id.is_some() {
            // The answer counts, so it must be one.
            answer.as_ref().map_err(|why| unreadable(reply, why))?;
        }
        if let Some(wanted) = &success.equals
            && success.pointer.is_some()
            && at(&success.pointer) != Some(wanted)
        {
            let code = code.as_deref().and_then(plain_code);
            let says = "the gateway refused it";
            return Err(Failure::answered(ErrorClass::Refused, code, Some(reply.status), says));
        }
        if success.equals.is_none() && success.pointer.is_some() && at(&success.pointer).is_none() {
            return Err(unreadable(reply, "the answer says neither yes nor no"));
        }
        let provider_id = at(id).and_then(text);
        if id.is_some() && provider_id.is_none() {
            return Err(Failure::unreadable(reply.status, "no_id", "the answer names no message"));
        }
        Ok(Accepted { provider_id, http: Some(reply.status), recipient_id: None })
    }

    /// What a report says.
    pub fn receipts(&self, raw: &[u8]) -> Vec<Receipt> {
        let Some(reports) = &self.description.reports else { return Vec::new() };
        let body = match reports.format {
            Format::Json => serde_json::from_slice(raw).unwrap_or_default(),
            Format::Form => form(raw),
        };
        let events = match &reports.events {
            Some(pointer) => body.pointer(pointer).unwrap_or(&Value::Null),
            None => &body,
        };
        let events = match events {
            Value::Array(events) => events.as_slice(),
            event => std::slice::from_ref(event),
        };
        events.iter().filter_map(|event| reports.receipt(event)).collect()
    }
}

impl Reports {
    fn receipt(&self, event: &Value) -> Option<Receipt> {
        let provider_id = text(event.pointer(&self.id)?)?;
        let status = *self.statuses.get(&text(event.pointer(&self.status)?)?)?;
        let to = self.to.as_ref().and_then(|to| text(event.pointer(to)?));
        let to = to.map(|to| to.trim_start_matches('+').to_owned());
        let failure = (status == Reported::Failed).then(|| {
            Failure::answered(ErrorClass::Recipient, None, None, "the gateway could not deliver it")
        });
        Some(Receipt { provider_id, to, status, failure, at: None })
    }
}

fn stands_for_something(word: &str, secrets: &BTreeMap<String, SecretString>) -> bool {
    match word.split_once('.') {
        Some(("secret", name)) => secrets.contains_key(name),
        Some(("var", name)) => !name.is_empty(),
        _ => WORDS.contains(&word),
    }
}

/// Fills a text in; `{{` is a brace. What stands for nothing is the error.
fn filled(text: &str, word: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let Some(end) = rest.find('}') else { return Err(format!("{{{rest}")) };
        let value = word(&rest[..end]).ok_or_else(|| format!("{{{}}}", &rest[..end]))?;
        out.push_str(&value);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn filled_json(
    value: &Value,
    fill: &dyn Fn(&str) -> Result<String, Failure>,
) -> Result<Value, Failure> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text)?),
        Value::Array(values) => {
            Value::Array(values.iter().map(|v| filled_json(v, fill)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, v)| Ok((name.clone(), filled_json(v, fill)?)));
            Value::Object(fields.collect::<Result<_, Failure>>()?)
        }
        plain => plain.clone(),
    })
}

/// All texts in a JSON value.
fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, into)),
        _ => {}
    }
}
