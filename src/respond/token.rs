//! What a link or a button of a message carries: what it is about, at which time, and a MAC under the clinic's key. So nothing is
//! kept, nobody can make one up, and one that was about another time is good for nothing: who said yes to ten o'clock has not said
//! yes to noon.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::crypto::{ClinicKeys, mac};
use crate::ids::{AppointmentId, HoldId};

/// 128 bits: nobody guesses that over a network.
const MAC: usize = 16;
const SIGNED: usize = 16 + 4;

/// What a message asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Visit(AppointmentId),
    /// A time that is kept for somebody on the waitlist.
    Offer(HoldId),
}

impl About {
    fn id(self) -> Uuid {
        match self {
            About::Visit(id) => id.0,
            About::Offer(id) => id.0,
        }
    }

    /// Sets one kind's MAC apart from another's. Visits came first, and have none.
    fn mark(self) -> &'static [u8] {
        match self {
            About::Visit(_) => b"",
            About::Offer(_) => b"offer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub about: About,
    /// On the minute.
    pub starts_at: DateTime<Utc>,
}

impl Token {
    pub fn write(&self, keys: &ClinicKeys) -> String {
        let minute = u32::try_from(self.starts_at.timestamp() / 60).unwrap_or_default();
        let signed = [self.about.id().as_bytes().as_slice(), &minute.to_be_bytes()].concat();
        let mac = mac(&keys.replies, &[self.about.mark(), &signed].concat());
        URL_SAFE_NO_PAD.encode([&signed, &mac[..MAC]].concat())
    }

    pub fn read(keys: &ClinicKeys, text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| b.len() == SIGNED + MAC)?;
        let (signed, given) = bytes.split_at(SIGNED);
        let (id, minute) = signed.split_at(16);
        let id = Uuid::from_slice(id).ok()?;
        let is_right = |about: &About| {
            let right = mac(&keys.replies, &[about.mark(), signed].concat());
            bool::from(right[..MAC].ct_eq(given))
        };
        let about = [About::Visit(AppointmentId(id)), About::Offer(HoldId(id))];
        let minute = u32::from_be_bytes(minute.try_into().ok()?);
        Some(Self {
            about: about.into_iter().find(is_right)?,
            starts_at: DateTime::from_timestamp(i64::from(minute) * 60, 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootKey;

    #[test]
    fn a_token_is_good_at_its_clinic_and_to_the_letter() {
        let keys = ClinicKeys::derive(&RootKey::generate());
        let starts_at = "2099-01-05T04:30:00Z".parse().unwrap();
        for about in [About::Visit(AppointmentId::new()), About::Offer(HoldId::new())] {
            let token = Token { about, starts_at };
            let text = token.write(&keys);

            assert_eq!(Token::read(&keys, &text), Some(token));
            assert_eq!(Token::read(&ClinicKeys::derive(&RootKey::generate()), &text), None);
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                assert_ne!(Token::read(&keys, &other), Some(token), "{other}");
            }
            for none in ["", "A", &text[1..], &format!("{text}A"), "=", "né"] {
                assert_eq!(Token::read(&keys, none), None);
            }
        }
    }
}
