//! Patients sign in by one-time code: who gets one, what a guess may cost, and what stands against those who ask for others.

mod asking;
mod families;
mod limits;
pub mod secrets;
mod sms;
mod verifying;

use nadi::messaging::inbox::Item;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestClinic, TestPlatform, until};

const LAKSHMI: &str = "+919847012345";
const PRAKASH: &str = "+919847054321";
const NOBODY: &str = "+919999900001";

async fn ask(caller: &Caller, identifier: &str) -> Answer {
    caller.post("/auth/otp/request", &json!({ "identifier": identifier })).await
}

async fn guess(caller: &Caller, request: &Value, code: &str) -> Answer {
    caller.post("/auth/otp/verify", &json!({ "request_id": request, "code": code })).await
}

/// All that went to an address, newest first.
async fn letters(platform: &TestPlatform, to: &str) -> Vec<Item> {
    let mut items = platform.inbox.items().await.unwrap();
    items.retain(|item| item.to == to && code_in(&item.body).is_some());
    items
}

/// The newest code that went to an address, once so many have.
async fn code(platform: &TestPlatform, to: &str, count: usize) -> String {
    until("a code came", async || letters(platform, to).await.len() >= count).await;
    code_in(&letters(platform, to).await[0].body).unwrap().to_owned()
}

/// The six digits that stand by themselves in a message, in whatever language it is.
fn code_in(body: &str) -> Option<&str> {
    let mut numbers = body.split(|letter: char| !letter.is_ascii_alphanumeric());
    numbers.find(|number| number.len() == 6 && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A code that is not this one.
fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// Waits until every message was looked at.
async fn all_is_sent(clinic: &TestClinic) {
    until("all messages are done", async || {
        clinic.count("select count(*) from outbox where done_at is null").await == 0
    })
    .await;
}

/// As if so much time (`31 s`, `25 h`) had passed since everything that codes remember.
async fn pass(clinic: &TestClinic, interval: &str) {
    let mut inside = clinic.connection().await;
    for sql in [
        "update otp_requests set created_at = created_at - $1::text::interval,
           resend_at = resend_at - $1::text::interval, expires_at = expires_at - $1::text::interval,
           choice_expires_at = choice_expires_at - $1::text::interval",
        "update otp_sends set sent_at = sent_at - $1::text::interval, sms_at = sms_at - $1::text::interval",
        "update otp_guesses set guessed_at = guessed_at - $1::text::interval",
    ] {
        sqlx::query(sql).bind(interval).execute(&mut inside).await.unwrap();
    }
}

/// Somebody who signs in from asking to tokens.
async fn sign_in(platform: &TestPlatform, anybody: &Caller, identifier: &str, to: &str) -> Answer {
    let before = letters(platform, to).await.len();
    let asked = ask(anybody, identifier).await.expect(202);
    let code = code(platform, to, before + 1).await;
    guess(anybody, &asked.body["request_id"], &code).await
}

/// Signed in with an answer's tokens.
fn as_in(anybody: &Caller, answer: &Answer) -> Caller {
    let mut caller = anybody.clone();
    caller.token = answer.body["access_token"].as_str().map(str::to_owned);
    caller
}
