//! Doctors, their hours and their absences, through the API.

mod hours;
mod profiles;
mod time_off;

use serde_json::{Value, json};

use crate::support::{Answer, Caller};

/// A Monday, 10:00 in Kolkata.
const TEN: &str = "2099-01-05T04:30:00Z";

fn newcomer() -> Value {
    json!({
        "full_name": "Dr Anjali Varma", "email": "anjali@shanti.example", "phone": "98470 11111",
        "registration_number": "TCMC 12345", "qualification": "BAMS, MD",
        "specialties": ["Panchakarma", "Kayachikitsa"], "languages": ["ml", "en"],
        "fee": { "currency": "INR", "amount_minor": 50000 }, "slot_minutes": 20, "capacity": 2,
    })
}

fn faults<const N: usize>(of: [(&str, &str); N]) -> [(String, String); N] {
    of.map(|(at, code)| (at.to_owned(), code.to_owned()))
}

fn line(location: &str, weekday: i64, from: &str, to: &str, more: Value) -> Value {
    let mut line =
        json!({ "location_id": location, "weekday": weekday, "starts_at": from, "ends_at": to });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

async fn set_hours(admin: &Caller, doctor: &str, items: Value) -> Answer {
    admin.put(&format!("/doctors/{doctor}/availability"), "*", &json!({ "items": items })).await
}
