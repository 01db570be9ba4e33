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
