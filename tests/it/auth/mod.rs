//! Signing in, staying in and getting out.

mod hearing;
mod passwords;
mod sessions;
mod signing_in;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Answer, Caller};

const PASSWORD: &str = "lamp-oil-and-tulasi";

async fn log_in(caller: &Caller, identifier: &str, password: &str) -> Answer {
    caller.post("/auth/login", &json!({ "identifier": identifier, "password": password })).await
}

async fn refresh(caller: &Caller, token: &Value) -> Answer {
    caller.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

/// Asks until the answer has this status; how long it took.
async fn until(caller: &Caller, status: u16) -> Duration {
    let began = Instant::now();
    loop {
        let answer = caller.get("/auth/me").await;
        if answer.status == status {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "still {}", answer.status);
    }
}

/// What an instance promises of what it has to hear from another, and time for a busy machine.
const SOON: Duration = Duration::from_millis(1500);
