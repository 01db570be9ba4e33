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
    Invited,
    PasswordReset,
    EmailVerification,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::SignInCode,
        Kind::RegisterCode,
        Kind::Booked,
        Kind::Moved,
        Kind::Cancelled,
        Kind::ReplyFailed,
        Kind::ReminderDay,
        Kind::ReminderHours,
        Kind::Invited,
        Kind::PasswordReset,
        Kind::EmailVerification,
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
            Kind::Invited => "account.invited",
            Kind::PasswordReset => "account.password_reset",
            Kind::EmailVerification => "account.email_verification",
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
        matches!(self, Kind::Booked | Kind::Moved | Kind::ReminderDay | Kind::ReminderHours)
    }

    /// The channels it may ever go by. A link that opens an account goes by e-mail alone.
    pub fn channels(self) -> &'static [Channel] {
        match self {
            Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => &[Channel::Email],
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
