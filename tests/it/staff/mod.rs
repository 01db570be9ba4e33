//! Staff accounts, through the API.

mod accounts;
mod invitations;
mod standing;

use nadi::auth::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestClinic};

const NEW_PASSWORD: &str = "a-lamp-before-the-dawn";

fn newcomer(role: &str) -> Value {
    json!({ "full_name": "Anjali Varma", "role": role, "email": "anjali@shanti.example", "phone": "+919847011111" })
}

/// The account of somebody whom the clinic came with.
async fn account(admin: &Caller, clinic: &TestClinic, role: Role) -> (String, Answer) {
    let path = format!("/users/{}", clinic.account(role));
    let answer = admin.get(&path).await.expect(200);
    (path, answer)
}
