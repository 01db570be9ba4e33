//! Why a call came to nothing: of which class it is, how far it came, and for how long it speaks against an address.

use std::time::Duration;

use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

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

    pub(super) fn new(class: ErrorClass, reached: Reached, says: &str) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_either_tries_again_or_hands_on() {
        for class in ErrorClass::ALL {
            assert_ne!(class.tries_again(), class.next_channel(), "{class:?}");
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert!(!(class.raises_alarm() && class.tries_again()), "{class:?}");
        }
    }
}
