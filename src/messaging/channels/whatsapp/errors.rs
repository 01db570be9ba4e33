//! What WhatsApp's error codes mean, as data: public lists contradict each other and change. The code beats the HTTP status;
//! a code that is not listed goes by `is_transient`, then by the status.

use std::time::Duration;

use serde_json::Value;

use crate::messaging::channels::{ErrorClass, Failure, Shun};

/// One row: the codes from the first to the last, and what they mean.
pub struct Row {
    pub first: i64,
    pub last: i64,
    pub class: ErrorClass,
    pub says: &'static str,
}

const fn row(first: i64, last: i64, class: ErrorClass, says: &'static str) -> Row {
    Row { first, last, class, says }
}

const fn one(code: i64, class: ErrorClass, says: &'static str) -> Row {
    row(code, code, class, says)
}

use ErrorClass::*;

/// First match wins.
pub const TABLE: &[Row] = &[
    one(4, Pace, "the app's calls are limited for now"),
    one(80007, Pace, "the account's calls are limited for now"),
    one(130429, Pace, "the number sends too fast"),
    one(131056, RecipientPace, "too many messages to this person at once"),
    one(1, Transient, "an unknown error at WhatsApp, or in our request"),
    one(2, Transient, "WhatsApp is down for now"),
    one(131000, Transient, "something went wrong at WhatsApp"),
    one(131016, Transient, "a part of WhatsApp is overloaded"),
    one(131057, Transient, "the account is in maintenance"),
    one(133004, Transient, "WhatsApp's server is unavailable for now"),
    one(131026, Recipient, "the number cannot be reached by WhatsApp"),
    one(131049, Recipient, "WhatsApp held the message back from this person"),
    one(131050, Recipient, "this person wants no such messages"),
    one(130472, Recipient, "this person is part of an experiment of WhatsApp's"),
    one(131021, Recipient, "the recipient is the sender"),
    one(131047, Window, "this person has not written within a day"),
    one(132000, Template, "the template has another number of parameters"),
    one(132001, Template, "there is no such template in this language"),
    one(132005, Template, "the filled template is too long"),
    one(132007, Template, "the template breaks a policy"),
    one(132012, Template, "a parameter of the template is of another format"),
    one(132015, Template, "the template is paused"),
    one(132016, Template, "the template is disabled"),
    row(132068, 132069, Template, "the template's flow is blocked or throttled"),
    one(100, OurRequest, "a parameter is wrong"),
    one(131008, OurRequest, "a parameter is missing"),
    one(131009, OurRequest, "a parameter's value is wrong"),
    one(131051, OurRequest, "messages of this type are not supported"),
    row(131052, 131053, OurRequest, "the file could not be taken over"),
    one(0, Account, "the app could not sign in"),
    one(3, Account, "the app lacks a permission"),
    one(10, Account, "a permission was not given or has been taken back"),
    one(33, Account, "the sending number is gone"),
    one(190, Account, "the access token has expired"),
    row(200, 299, Account, "a permission was not given or has been taken back"),
    one(368, Account, "the account is barred for a while"),
    one(130497, Account, "the account may not write to this country"),
    one(131005, Account, "access was denied"),
    one(131031, Account, "the account is locked"),
    one(131037, Account, "the sending number's name is not approved"),
    one(131042, Account, "the account's payment does not work"),
    one(131045, Account, "the sending number is not registered"),
    one(131048, SpamLimit, "too many people complained"),
];

/// How long a number without WhatsApp is believed to stay so.
const WITHOUT_WHATSAPP: Duration = Duration::from_secs(7 * 24 * 3600);

/// What an error object says, in an answer (`http`) or in a receipt.
pub fn judge(error: &Value, http: Option<u16>) -> Failure {
    // A number by the book, but a text from some.
    let code = match &error["code"] {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let row = code.and_then(|code| TABLE.iter().find(|row| (row.first..=row.last).contains(&code)));
    let (class, says) = match row {
        Some(row) => (row.class, row.says),
        None => by_status(error["is_transient"].as_bool(), http),
    };
    let mut failure = Failure::answered(class, code.map(|code| code.to_string()), http, says);
    failure.most_tries = (code == Some(1)).then_some(2);
    failure.shun = (code == Some(131026)).then_some(Shun::For(WITHOUT_WHATSAPP));
    failure
}

/// What is left where the code is unknown.
fn by_status(is_transient: Option<bool>, http: Option<u16>) -> (ErrorClass, &'static str) {
    match (is_transient, http) {
        (Some(true), _) => (Transient, "WhatsApp calls it temporary"),
        (_, Some(429)) => (Pace, "WhatsApp asks for a slower pace"),
        (_, Some(500..)) => (Transient, "WhatsApp failed"),
        (_, Some(401)) => (Account, "the app could not sign in"),
        _ => (Refused, "WhatsApp refused it"),
    }
}
