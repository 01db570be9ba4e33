//! The clinic's rules, holidays, extra days and resources, and what they make of slots and bookings.

mod days;
mod holds;
mod resources;
mod rules;
mod video;
mod weeks;

use serde_json::Value;

use crate::support::{Caller, TestClinic};

/// A Monday, 10:00 in Kolkata.
const TEN: &str = "2099-01-05T04:30:00Z";
const HALF_PAST: &str = "2099-01-05T05:00:00Z";

fn faults<const N: usize>(of: [(&str, &str); N]) -> [(String, String); N] {
    of.map(|(at, code)| (at.to_owned(), code.to_owned()))
}

/// When the slots of that Monday begin, in Kolkata: `10:30`.
async fn slots(caller: &Caller, clinic: &TestClinic, more: &str) -> Vec<String> {
    let path = format!("/doctors/{}/slots?from=2099-01-05&to=2099-01-06{more}", clinic.doctor);
    let answer = caller.get(&path).await.expect(200);
    let starts = answer.body["items"].as_array().unwrap().iter().map(|slot| &slot["starts_at"]);
    starts.map(in_kolkata).collect()
}

fn in_kolkata(at: &Value) -> String {
    let at: chrono::DateTime<chrono::Utc> = at.as_str().unwrap().parse().unwrap();
    at.with_timezone(&chrono_tz::Asia::Kolkata).format("%H:%M").to_string()
}

async fn set_rules(clinic: &TestClinic, rules: Value) {
    clinic.admin().await.put("/settings/scheduling", "*", &rules).await.expect(200);
}
