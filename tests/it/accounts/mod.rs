//! What somebody's account is worth to whom steals a password, a session, a letter or the tables: as little as we can make it.

pub mod avatars;
mod email;
mod guesses;
mod letters;
mod passwords;
mod preferences;
mod refused;
mod required;
mod resets;
mod second_factor;
mod secrets;
mod standing;

use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use nadi::time::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::support::{Answer, Caller, Options, PASSWORD, TestPlatform, until};

const NEW_PASSWORD: &str = "monsoon harvest lamp";
const ADMIN: &str = "clinic_admin@shanti.example";
const DOCTOR: &str = "doctor@shanti.example";

/// A platform that believes its callers where they come from.
async fn behind_a_proxy() -> TestPlatform {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    TestPlatform::with(Options { settings, ..Options::default() }).await
}

async fn log_in(caller: &Caller, identifier: &str, code: Option<&str>) -> Answer {
    log_in_from(caller, "203.0.113.7", identifier, code).await
}

async fn log_in_from(caller: &Caller, from: &str, who: &str, code: Option<&str>) -> Answer {
    let mut given = json!({ "identifier": who, "password": PASSWORD });
    if let Some(code) = code {
        given["totp_code"] = json!(code);
    }
    let request = caller.request(Method::POST, "/auth/login").header("x-forwarded-for", from);
    caller.send(request.json(&given)).await
}

/// Signed in with an answer's tokens.
fn as_in(anybody: &Caller, answer: &Answer) -> Caller {
    let mut caller = anybody.clone();
    caller.token = answer.body["access_token"].as_str().map(str::to_owned);
    caller
}

/// What an app does: RFC 6238, written down here once more.
struct App(Vec<u8>);

impl App {
    fn with(secret: &str) -> Self {
        let value = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'2'..=b'7' => c - b'2' + 26,
            _ => panic!("no base32: {secret}"),
        };
        let bits: Vec<u8> =
            secret.bytes().flat_map(|c| (0..5).rev().map(move |bit| value(c) >> bit & 1)).collect();
        Self(
            bits.as_chunks::<8>()
                .0
                .iter()
                .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit))
                .collect(),
        )
    }

    /// The code of now, or of so many half minutes later.
    fn code(&self, clock: &Clock, later: i64) -> String {
        let step = clock.now().timestamp() / 30 + later;
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let at = (digest[19] & 15) as usize;
        let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

/// Sets a clock to the beginning of a later half minute, so that none begins in the middle of what is tested.
fn next_step(clock: &Clock) {
    clock.advance(TimeDelta::seconds(61 - clock.now().timestamp() % 30));
}

/// Somebody's new second factor: the app, and the recovery codes. The code that confirmed it is spent, and its step over.
async fn enrol(clock: &Clock, caller: &Caller) -> (App, Vec<String>) {
    let begun = caller.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(200);
    let app = App::with(begun.body["secret"].as_str().unwrap());
    next_step(clock);
    let code = json!({ "code": app.code(clock, 0) });
    caller.post("/auth/totp/confirm", &code).await.expect(204);
    next_step(clock);
    let codes = begun.body["recovery_codes"].as_array().unwrap();
    (app, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

/// The tokens in the letters to an address whose links lead to that page, newest first.
async fn tokens(platform: &TestPlatform, to: &str, page: &str) -> Vec<String> {
    let items = platform.inbox.items().await.unwrap();
    let link = format!("/{page}?token=");
    items
        .iter()
        .filter(|item| item.to == to)
        .filter_map(|item| item.body.split_once(&link))
        .map(|(_, rest)| rest.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// The newest of so many.
async fn token(platform: &TestPlatform, to: &str, page: &str, count: usize) -> String {
    until("a letter came", async || tokens(platform, to, page).await.len() >= count).await;
    tokens(platform, to, page).await.remove(0)
}

async fn forgot(caller: &Caller, identifier: &str) -> Answer {
    caller.post("/auth/forgot-password", &json!({ "identifier": identifier })).await
}

async fn reset(caller: &Caller, token: &str) -> Answer {
    let body = json!({ "token": token, "password": NEW_PASSWORD });
    caller.post("/auth/reset-password", &body).await
}

fn fault(pointer: &str, code: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), code.to_owned())]
}

fn statuses<const N: usize>(answers: [&Answer; N]) -> [u16; N] {
    let mut all = answers.map(|answer| answer.status.as_u16());
    all.sort();
    all
}

fn change(current: &str, new: &str) -> Value {
    json!({ "current_password": current, "new_password": new })
}
