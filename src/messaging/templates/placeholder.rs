//! What a template may name in braces, by the kind of its message.

use crate::messaging::channels::Channel;
use crate::messaging::kind::Kind;

/// Something that is filled in: `{given_name}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placeholder {
    GivenName,
    Patient,
    Number,
    Doctor,
    /// Day and hour; short in text messages.
    When,
    Date,
    Time,
    Zone,
    Location,
    Address,
    Phone,
    Clinic,
    Code,
    /// A bare number.
    Minutes,
    /// `5 minutes`, in the language.
    Lifetime,
    /// Where the patient confirms or cancels; none once that cannot be done any more.
    RespondUrl,
    /// The clinic's own, on https alone: a browser reads it beside a code.
    Host,
    Link,
    /// Until when a link is good, or a time is kept.
    Until,
}

use Placeholder::*;

const OF_CODES: &[Placeholder] = &[Code, Minutes, Lifetime, Clinic, GivenName, Host];
const OF_VISITS: &[Placeholder] = &[
    GivenName, Patient, Number, Doctor, When, Date, Time, Zone, Location, Address, Phone, Clinic,
    RespondUrl,
];
const OF_OFFERS: &[Placeholder] = &[
    GivenName, Patient, Doctor, When, Date, Time, Zone, Location, Address, Phone, Clinic,
    RespondUrl, Until,
];
const OF_LINKS: &[Placeholder] = &[GivenName, Link, Until, Clinic];
const OF_NOTICES: &[Placeholder] = &[GivenName, When, Date, Time, Zone, Clinic];

impl Placeholder {
    const ALL: [Placeholder; 19] = [
        GivenName, Patient, Number, Doctor, When, Date, Time, Zone, Location, Address, Phone,
        Clinic, Code, Minutes, Lifetime, Host, Link, Until, RespondUrl,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            GivenName => "given_name",
            Patient => "patient",
            Number => "number",
            Doctor => "doctor",
            When => "when",
            Date => "date",
            Time => "time",
            Zone => "zone",
            Location => "location",
            Address => "address",
            Phone => "phone",
            Clinic => "clinic",
            Code => "code",
            Minutes => "minutes",
            Lifetime => "lifetime",
            Host => "host",
            RespondUrl => "respond_url",
            Link => "link",
            Until => "until",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placeholder| placeholder.as_str() == name)
    }

    /// Those that a message of this kind may name.
    pub fn of(kind: Kind) -> &'static [Placeholder] {
        match kind {
            Kind::SignInCode | Kind::RegisterCode => OF_CODES,
            Kind::Booked
            | Kind::Moved
            | Kind::Cancelled
            | Kind::ReplyFailed
            | Kind::ReminderDay
            | Kind::ReminderHours => OF_VISITS,
            Kind::Offered | Kind::OfferOver => OF_OFFERS,
            Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => OF_LINKS,
            Kind::PasswordChanged
            | Kind::SecondFactorAdded
            | Kind::SecondFactorRemoved
            | Kind::RecoveryCodesMade
            | Kind::EmailChanged => OF_NOTICES,
        }
    }

    /// Those without which it would be of no use. A time may be given in two parts as well.
    pub fn missing(kind: Kind, channel: Channel, used: &[Placeholder]) -> Vec<Placeholder> {
        let needed: &[Placeholder] = match kind {
            Kind::SignInCode | Kind::RegisterCode => &[Code],
            Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => &[GivenName, Link],
            // A registered text of another day may lack the name; what is read as a letter greets.
            _ if channel == Channel::Sms => &[When],
            _ => &[GivenName, When],
        };
        let has = |placeholder: &Placeholder| {
            used.contains(placeholder)
                || *placeholder == When && used.contains(&Date) && used.contains(&Time)
        };
        needed.iter().copied().filter(|placeholder| !has(placeholder)).collect()
    }

    /// Others read a subject over shoulders: no code, no link, and no name that tells of a speciality.
    pub fn may_be_in_subject(self) -> bool {
        matches!(self, GivenName | Number | When | Date | Time | Clinic)
    }

    /// It may have no value: the line that names it is then left out.
    pub fn may_be_missing(self, kind: Kind) -> bool {
        match self {
            GivenName => kind.is_code(),
            Address | Phone | Host | RespondUrl => true,
            _ => false,
        }
    }

    /// It may be cut where room is short. A cut code or time would be worse than none.
    pub fn may_be_cut(self) -> bool {
        matches!(self, GivenName | Patient | Doctor | Location | Address | Clinic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_has_a_name_of_its_own() {
        for placeholder in Placeholder::ALL {
            assert_eq!(Placeholder::named(placeholder.as_str()), Some(placeholder));
        }
    }
}
