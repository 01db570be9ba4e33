//! Text messages: three kinds of providers behind one call. In India the words are registered, and whoever renders them
//! keeps to the registered text; here they are only carried.

pub mod dlt;
pub mod gateway;
pub mod msg91;
pub mod segments;
pub mod twilio;

use secrecy::SecretString;
use serde_json::Value;

use super::http::{Http, Reply};
use super::{ErrorClass, Failure, Outcome, Outgoing, Shun, plain_code};

/// A text message. It has no `Debug`: it may hold a code.
pub struct Text {
    /// The whole text, for those who are given it.
    pub text: SecretString,
    /// The provider's own template, for those who fill it in themselves.
    pub template_id: Option<String>,
    /// The template as registered with the operators.
    pub dlt_template_id: Option<String>,
    /// What the provider's template is filled in with.
    pub variables: Vec<(String, SecretString)>,
}

/// A clinic's account with one of them.
#[derive(Clone, Debug)]
pub enum Account {
    Msg91(msg91::Account),
    Twilio(twilio::Account),
    Gateway(Box<gateway::Gateway>),
}

impl Account {
    pub fn provider(&self) -> &'static str {
        match self {
            Account::Msg91(_) => "msg91",
            Account::Twilio(_) => "twilio",
            Account::Gateway(_) => "gateway",
        }
    }

    /// The host that calls go to.
    pub fn host(&self) -> Option<&str> {
        match self {
            Account::Msg91(account) => account.base.host_str(),
            Account::Twilio(account) => account.base.host_str(),
            Account::Gateway(gateway) => gateway.host(),
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub async fn send(&self, http: &Http, message: &Outgoing<Text>) -> Outcome {
        match self {
            Account::Msg91(account) => account.send(http, message).await,
            Account::Twilio(account) => account.send(http, message).await,
            Account::Gateway(gateway) => gateway.send(http, message).await,
        }
    }
}

/// A provider's codes and what they mean.
pub type Table = &'static [(i64, ErrorClass, &'static str)];

/// What a provider's code says, and without one that we know, the HTTP status.
fn judge(table: Table, code: Option<i64>, http: Option<u16>) -> Failure {
    let row = code.and_then(|code| table.iter().find(|row| row.0 == code));
    let (class, says) = match (row, http) {
        (Some((_, class, says)), _) => (*class, *says),
        (None, Some(429)) => (ErrorClass::Pace, "the provider asks for a slower pace"),
        (None, Some(500..)) => (ErrorClass::Transient, "the provider failed"),
        (None, Some(401)) => (ErrorClass::Account, "the provider does not know the account"),
        (None, _) => (ErrorClass::Refused, "the provider refused it"),
    };
    let code = code.and_then(|code| plain_code(&code.to_string()));
    Failure::answered(class, code, http, says)
}

/// A code as some write it: a number, or a text of digits.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text as some write it: a text, or a number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn bad_number(failure: Failure, codes: &[i64]) -> Failure {
    let code = failure.code.as_deref().and_then(|code| code.parse().ok());
    let shun = code.is_some_and(|code| codes.contains(&code)).then_some(Shun::ForGood);
    failure.shunning(shun)
}

fn unreadable(reply: &Reply, why: &str) -> Failure {
    Failure::unreadable(reply.status, "unreadable", why)
}

/// The fields of a form, or of a query, as an object of texts.
fn form(raw: &[u8]) -> Value {
    let pairs = url::form_urlencoded::parse(raw);
    Value::Object(pairs.map(|(name, value)| (name.into_owned(), Value::from(value))).collect())
}
