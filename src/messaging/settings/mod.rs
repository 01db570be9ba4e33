//! How a clinic reaches people: its accounts with providers, and its policy where that differs from the product's. Credentials
//! go in and never come out; they lie sealed under the clinic's own key.

mod accounts;
pub mod api;
mod model;
mod request;
mod store;

pub use accounts::{Bases, Mail, Meta, Setup, Setups, SmsSetup, WhatsappSetup};
pub use model::{Dkim, Email, Policies, Policy, Providers, Sms, Twilio, Whatsapp};
pub use store::{read, set_up};

use super::policy::{Class, Rule};
use crate::tenancy::pools::Conn;

/// How a clinic's messages of a class are delivered, as its settings stand now.
///
/// # Errors
/// The database's.
pub async fn rule(conn: &mut Conn, class: Class) -> sqlx::Result<Rule> {
    let policies = read(conn).await?.policies.0;
    Ok(policies.get(&class).map_or_else(|| class.rule(), Policy::rule))
}
