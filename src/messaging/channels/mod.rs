//! The channels to people: the network clients of the providers, and what guards the calls to them. Nothing here reads a
//! database or decides what becomes of a message: a client says what happened and of which class it was, the policy acts.

pub mod backoff;
pub mod breaker;
pub mod breakers;
pub mod dkim;
pub mod email;
mod failure;
pub mod guard;
pub mod http;
pub mod lanes;
pub mod pace;
pub mod returned;
pub mod sms;
pub mod smtp;
pub mod whatsapp;

pub use failure::{ErrorClass, Failure, Reached, Shun};

use std::time::Duration;

use chrono::{DateTime, Utc};
use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

use crate::ids::{ClinicId, MessageId};

/// How a message reaches a person.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    sqlx::Type,
    Enum,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Channel {
    Whatsapp,
    Sms,
    Email,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Whatsapp, Channel::Sms, Channel::Email];

    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Whatsapp => "whatsapp",
            Channel::Sms => "sms",
            Channel::Email => "email",
        }
    }

    /// The channel of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

/// Codes never wait behind campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Codes,
    Others,
}

/// One message for one person by one channel, as the channel's client is given it. It has no `Debug`: its content is secret.
pub struct Outgoing<Content> {
    pub clinic_id: ClinicId,
    /// The outbox row's, the same at every try.
    pub message_id: MessageId,
    /// A phone number in E.164 with its `+`, or an e-mail address.
    pub to: String,
    pub lane: Lane,
    /// Until the message dies.
    pub time_left: Duration,
    pub content: Content,
}

/// What became of a call.
pub type Outcome = Result<Accepted, Failure>;

/// The provider took the message over, which is not yet that it was delivered.
#[derive(Clone, PartialEq, Eq)]
pub struct Accepted {
    /// By which receipts will name it.
    pub provider_id: Option<String>,
    pub http: Option<u16>,
    /// The recipient as the provider knows them, where that may differ from what was asked for.
    pub recipient_id: Option<String>,
}

/// Where a message has got to, as its provider reports. It moves up only; `Failed` after `Delivered` is news too late.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Reported {
    Sent,
    Failed,
    Delivered,
    Read,
}

/// A provider's report about a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    pub provider_id: String,
    /// The number, in digits, where the report names it.
    pub to: Option<String>,
    pub status: Reported,
    /// Why it failed.
    pub failure: Option<Failure>,
    pub at: Option<DateTime<Utc>>,
}

impl Receipt {
    /// The same for the same piece of news, however often it comes.
    pub fn event_key(&self) -> String {
        let status = match self.status {
            Reported::Sent => "sent",
            Reported::Failed => "failed",
            Reported::Delivered => "delivered",
            Reported::Read => "read",
        };
        let to = self.to.as_deref().unwrap_or_default();
        let at = self.at.map(|at| at.timestamp().to_string()).unwrap_or_default();
        format!("{}|{status}|{to}|{at}", self.provider_id)
    }
}

// Numbers stay out of logs.
impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("provider_id", &self.provider_id)
            .field("http", &self.http)
            .field("recipient_id", &self.recipient_id.as_deref().map(masked))
            .finish()
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("provider_id", &self.provider_id)
            .field("to", &self.to.as_deref().map(masked))
            .field("status", &self.status)
            .field("failure", &self.failure)
            .field("at", &self.at)
            .finish()
    }
}

/// `+91••••••3210`: enough for a person to know whose it is, too little to call.
pub fn masked(number: &str) -> String {
    let count = number.chars().count();
    if count < 8 {
        return "•".repeat(count);
    }
    let head = if number.starts_with('+') { 3 } else { 2 };
    let shown = |(at, letter)| if at < head || at + 4 >= count { letter } else { '•' };
    number.chars().enumerate().map(shown).collect()
}

/// The digits of a phone number in E.164.
///
/// # Errors
/// When it is not one.
fn digits(number: &str) -> Result<&str, Failure> {
    match number.strip_prefix('+') {
        Some(digits)
            if (8..=15).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0') =>
        {
            Ok(digits)
        }
        _ => Err(Failure::ours("bad_number", "the phone number is not in E.164")),
    }
}

/// A provider's code as it may be kept: short, and of nothing that could hide a number or a secret.
fn plain_code(code: &str) -> Option<String> {
    let fits = !code.is_empty()
        && code.len() <= 32
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && code.bytes().filter(u8::is_ascii_digit).count() <= 6;
    fits.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_by_its_ends() {
        for (number, shown) in [
            ("+919876543210", "+91••••••3210"),
            ("919876543210", "91••••••3210"),
            ("12345", "•••••"),
            ("", ""),
        ] {
            assert_eq!(masked(number), shown);
        }
    }

    #[test]
    fn a_channel_is_found_by_its_name() {
        for channel in Channel::ALL {
            assert_eq!(Channel::named(channel.as_str()), Some(channel));
        }
        assert_eq!(Channel::named("pigeon"), None);
    }

    #[test]
    fn codes_that_could_hide_something_are_dropped() {
        for code in ["131026", "ESME_RTHROTTLED", "E-12.3"] {
            assert_eq!(plain_code(code).as_deref(), Some(code));
        }
        for code in ["", "9876543210", "bad number +9198", &"x".repeat(33), "कोड"] {
            assert_eq!(plain_code(code), None);
        }
    }
}
