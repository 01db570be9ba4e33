//! The channels to people: the network clients of the providers, and what guards the calls to them. Nothing here reads a
//! database or decides what becomes of a message: a client says what happened and of which class it was, the policy acts.

pub mod backoff;
pub mod breaker;
pub mod email;
pub mod guard;
pub mod http;
pub mod lanes;
pub mod pace;
pub mod sms;
pub mod smtp;
pub mod whatsapp;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// By which receipts will name it.
    pub provider_id: Option<String>,
    pub http: Option<u16>,
    /// The recipient as the provider knows them, where that may differ from what was asked for.
    pub recipient_id: Option<String>,
}

/// What kind of failure it was; all that the policy decides, it decides by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Too fast for this account: no failure, but a wait.
    Pace,
    /// Too fast for this one person.
    RecipientPace,
    /// It may work in a while.
    Transient,
    /// This person cannot be reached by this channel.
    Recipient,
    /// The person has not written for a day: only a template may go.
    Window,
    /// This template is wrong or barred at the provider.
    Template,
    /// What we asked for is wrong: a fault of ours.
    OurRequest,
    /// The account: credentials, money, a ban. Nothing will go until a person acts.
    Account,
    /// Too many people complained.
    SpamLimit,
    /// Its content or sender is refused by policy.
    Policy,
    /// Refused for good, for a reason that we do not know.
    Refused,
}

impl ErrorClass {
    pub const ALL: [ErrorClass; 11] = [
        ErrorClass::Pace,
        ErrorClass::RecipientPace,
        ErrorClass::Transient,
        ErrorClass::Recipient,
        ErrorClass::Window,
        ErrorClass::Template,
        ErrorClass::OurRequest,
        ErrorClass::Account,
        ErrorClass::SpamLimit,
        ErrorClass::Policy,
        ErrorClass::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ErrorClass::Pace => "pace",
            ErrorClass::RecipientPace => "recipient_pace",
            ErrorClass::Transient => "transient",
            ErrorClass::Recipient => "recipient",
            ErrorClass::Window => "window",
            ErrorClass::Template => "template",
            ErrorClass::OurRequest => "our_request",
            ErrorClass::Account => "account",
            ErrorClass::SpamLimit => "spam_limit",
            ErrorClass::Policy => "policy",
            ErrorClass::Refused => "refused",
        }
    }

    /// The same channel, later.
    pub fn tries_again(self) -> bool {
        matches!(self, Self::Pace | Self::RecipientPace | Self::Transient)
    }

    /// Whether a try of this end counts as one: a wait for our turn does not.
    pub fn counts_as_try(self) -> bool {
        !matches!(self, Self::Pace | Self::RecipientPace)
    }

    /// This channel is done with this message: the next one's turn, at once. After `Window`, only if it went as a template already.
    pub fn next_channel(self) -> bool {
        !self.tries_again()
    }

    /// Once more on the same channel, as a template.
    pub fn resends_as_template(self) -> bool {
        self == Self::Window
    }

    /// No call by this account until its settings change.
    pub fn opens_breaker_until_settings_change(self) -> bool {
        self == Self::Account
    }

    /// This template in this language is of no use to this clinic until somebody mends it.
    pub fn disables_template(self) -> bool {
        self == Self::Template
    }

    /// For so long nothing but codes goes by this account, and after that at half its pace.
    pub fn pauses_all_but_codes(self) -> Option<Duration> {
        (self == Self::SpamLimit).then_some(Duration::from_secs(3600))
    }

    /// A person should know.
    pub fn raises_alarm(self) -> bool {
        use ErrorClass::*;
        matches!(self, Template | OurRequest | Account | SpamLimit | Policy | Refused)
    }
}

/// How far a failed call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It never left.
    Nothing,
    /// Nobody knows whether the provider acted on it.
    Perhaps,
    /// The provider said no.
    Answered,
}

/// For how long to keep away from an address on this channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shun {
    For(Duration),
    ForGood,
}

/// Why a call came to nothing. It holds no secret, no content and no number: what providers say in words is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: ErrorClass,
    /// The provider's own code, or one of ours in words.
    pub code: Option<String>,
    pub http: Option<u16>,
    pub retry_after: Option<Duration>,
    pub reached: Reached,
    /// Tries in all that this is worth, where it is fewer than the message's own.
    pub most_tries: Option<u32>,
    pub shun: Option<Shun>,
    pub message: String,
}

impl Failure {
    /// The provider answered so.
    pub fn answered(
        class: ErrorClass,
        code: Option<String>,
        http: Option<u16>,
        says: &str,
    ) -> Self {
        Self { code, http, ..Self::new(class, Reached::Answered, says) }
    }

    /// We cannot ask for that.
    pub fn ours(code: &str, says: &str) -> Self {
        let code = Some(code.to_owned());
        Self { code, ..Self::new(ErrorClass::OurRequest, Reached::Nothing, says) }
    }

    /// The wire failed, before or after the provider had it.
    pub fn wire(reached: Reached, code: &str, says: &str) -> Self {
        let code = Some(code.to_owned());
        Self { code, ..Self::new(ErrorClass::Transient, reached, says) }
    }

    /// There was a good answer that says nothing we understand: it may have been acted on.
    pub fn unreadable(http: u16, code: &str, says: &str) -> Self {
        Self { http: Some(http), ..Self::wire(Reached::Perhaps, code, says) }
    }

    fn new(class: ErrorClass, reached: Reached, says: &str) -> Self {
        Self {
            class,
            code: None,
            http: None,
            retry_after: None,
            reached,
            most_tries: None,
            shun: None,
            message: says.to_owned(),
        }
    }

    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    pub fn shunning(mut self, shun: Option<Shun>) -> Self {
        self.shun = shun;
        self
    }

    /// Whether a second try may be a second message.
    pub fn is_ambiguous(&self) -> bool {
        self.reached == Reached::Perhaps
    }

    /// The provider itself asked for a slower pace; a full lane of our own did not.
    pub fn asks_for_slower_pace(&self) -> bool {
        !self.class.counts_as_try() && self.reached == Reached::Answered
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " (code {code})")?;
        }
        if let Some(http) = self.http {
            write!(f, " (HTTP {http})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    fn every_class_either_tries_again_or_hands_on() {
        for class in ErrorClass::ALL {
            assert_ne!(class.tries_again(), class.next_channel(), "{class:?}");
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert!(!(class.raises_alarm() && class.tries_again()), "{class:?}");
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::named(channel.as_str()), Some(channel));
        }
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
