//! The kinds of messages: one for each purpose that an intent may have.

use super::channels::Channel;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    SignInCode,
    RegisterCode,
    Booked,
    Moved,
    Cancelled,
    /// What its patient asked for by a button could not be done.
    ReplyFailed,
    /// A day before.
    ReminderDay,
    /// Two hours before.
    ReminderHours,
    /// A time is kept for somebody on the waitlist.
    Offered,
    /// What was offered is not kept any more.
    OfferOver,
    Invited,
    PasswordReset,
    EmailVerification,
    /// What was done to an account is told to its owner: these five.
    PasswordChanged,
    SecondFactorAdded,
    SecondFactorRemoved,
    RecoveryCodesMade,
    EmailChanged,
}

impl Kind {
    pub const ALL: [Kind; 18] = [
        Kind::SignInCode,
        Kind::RegisterCode,
        Kind::Booked,
        Kind::Moved,
        Kind::Cancelled,
        Kind::ReplyFailed,
        Kind::ReminderDay,
        Kind::ReminderHours,
        Kind::Offered,
        Kind::OfferOver,
        Kind::Invited,
        Kind::PasswordReset,
        Kind::EmailVerification,
        Kind::PasswordChanged,
        Kind::SecondFactorAdded,
        Kind::SecondFactorRemoved,
        Kind::RecoveryCodesMade,
        Kind::EmailChanged,
    ];

    /// The purpose of its rows in the outbox, and the name of its templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::SignInCode => "code.sign_in",
            Kind::RegisterCode => "code.register",
            Kind::Booked => "appointment.booked",
            Kind::Moved => "appointment.moved",
            Kind::Cancelled => "appointment.cancelled",
            Kind::ReplyFailed => "appointment.reply_failed",
            Kind::ReminderDay => "appointment.reminder_24h",
            Kind::ReminderHours => "appointment.reminder_2h",
            Kind::Offered => "waitlist.offered",
            Kind::OfferOver => "waitlist.offer_over",
            Kind::Invited => "account.invited",
            Kind::PasswordReset => "account.password_reset",
            Kind::EmailVerification => "account.email_verification",
            Kind::PasswordChanged => "account.password_changed",
            Kind::SecondFactorAdded => "account.second_factor_added",
            Kind::SecondFactorRemoved => "account.second_factor_removed",
            Kind::RecoveryCodesMade => "account.recovery_codes_made",
            Kind::EmailChanged => "account.email_changed",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub fn is_code(self) -> bool {
        matches!(self, Kind::SignInCode | Kind::RegisterCode)
    }

    /// Whether its reader may answer, by a button or a link.
    pub fn asks_for_a_reply(self) -> bool {
        use Kind::{Booked, Moved, Offered, ReminderDay, ReminderHours};
        matches!(self, Booked | Moved | ReminderDay | ReminderHours | Offered)
    }

    /// Tells an account's owner what was done to it.
    pub fn is_notice(self) -> bool {
        matches!(
            self,
            Kind::PasswordChanged
                | Kind::SecondFactorAdded
                | Kind::SecondFactorRemoved
                | Kind::RecoveryCodesMade
                | Kind::EmailChanged
        )
    }

    /// The channels it may ever go by. A link that opens an account goes by e-mail alone, and so does what was done to one.
    pub fn channels(self) -> &'static [Channel] {
        match self {
            Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => &[Channel::Email],
            _ if self.is_notice() => &[Channel::Email],
            _ => &Channel::ALL,
        }
    }

    /// As WhatsApp and SMS providers know its template, unless a clinic says otherwise.
    pub fn registered_name(self) -> String {
        match self.is_code() {
            true => "nadi_otp".to_owned(),
            false => format!("nadi_{}", self.as_str().replace('.', "_")),
        }
    }
}
