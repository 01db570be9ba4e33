//! Whom a message is for, and how it greets them.

use chrono_tz::Tz;

use crate::ids::{AccountId, PatientId};
use crate::messaging::channels::Channel;

/// Whom a message is for, as they are known now.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub patient_id: Option<PatientId>,
    pub user_id: Option<AccountId>,
    /// Empty where we know none, or where several share an address.
    pub name: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub language: Option<String>,
    /// By which it is night for them.
    pub time_zone: Tz,
}

impl Recipient {
    /// How a message greets: the first name, past titles and initials. `None` where no name is known.
    pub fn given_name(&self) -> Option<&str> {
        let mut parts = self.name.split_whitespace().peekable();
        let mut first = parts.next()?;
        while (is_title(first) || is_initial(first))
            && let Some(next) = parts.next()
        {
            first = next;
        }
        Some(first)
    }

    /// Where a channel finds them.
    pub fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => self.email.as_deref(),
            Channel::Whatsapp | Channel::Sms => self.phone.as_deref(),
        }
    }
}

fn is_title(part: &str) -> bool {
    const TITLES: [&str; 20] = [
        "Dr",
        "Mr",
        "Mrs",
        "Ms",
        "Miss",
        "Prof",
        "Smt",
        "Shri",
        "Sri",
        "Kum",
        "Vaidya",
        "डॉ",
        "डॉक्टर",
        "श्री",
        "श्रीमती",
        "कु",
        "വൈദ്യ",
        "ഡോ",
        "ശ്രീ",
        "ശ്രീമതി",
    ];
    TITLES.contains(&part.trim_end_matches('.'))
}

/// `K.`, `P.K.`, `K`: what stands before a name in the south.
fn is_initial(part: &str) -> bool {
    part.split('.').all(|letter| letter.chars().count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_greets_by_given_name() {
        for (full, given) in [
            ("Lakshmi Menon", Some("Lakshmi")),
            ("Dr. Anand Varma", Some("Anand")),
            ("ലക്ഷ്മി", Some("ലക്ഷ്മി")),
            ("Smt Kamala", Some("Kamala")),
            ("K. Lakshmi", Some("Lakshmi")),
            ("Dr. P.K. Warrier", Some("Warrier")),
            ("डॉ. आनंद वर्मा", Some("आनंद")),
            ("Dr.", Some("Dr.")),
            ("K", Some("K")),
            ("  ", None),
        ] {
            let recipient = Recipient {
                patient_id: None,
                user_id: None,
                name: full.into(),
                phone: None,
                email: None,
                language: None,
                time_zone: Tz::UTC,
            };

            assert_eq!(recipient.given_name(), given, "{full}");
        }
    }
}
