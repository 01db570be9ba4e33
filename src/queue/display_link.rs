//! The secret of a board's address: which location's, the generation of the address, and a MAC of both under a key of the clinic's.
//! Nothing is kept of it, and a forged one is found out before any database is asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::crypto;
use crate::ids::LocationId;

const SAID: usize = 20;
/// Of the MAC's 32 octets: nobody guesses 192 bits.
const MAC: usize = 24;

/// Which board an address leads to, if it still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    pub location: LocationId,
    pub generation: i32,
}

impl Link {
    fn said(self) -> [u8; SAID] {
        let mut said = [0; SAID];
        said[..16].copy_from_slice(self.location.0.as_bytes());
        said[16..].copy_from_slice(&self.generation.to_be_bytes());
        said
    }

    pub fn token(self, key: &[u8; 32]) -> String {
        let said = self.said();
        URL_SAFE_NO_PAD.encode([&said, &crypto::mac(key, &said)[..MAC]].concat())
    }

    /// What a token says, if it is ours.
    pub fn read(key: &[u8; 32], token: &str) -> Option<Self> {
        let bytes: [u8; SAID + MAC] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (said, mac) = bytes.split_at(SAID);
        let good: bool = crypto::mac(key, said)[..MAC].ct_eq(mac).into();
        let (id, generation) = said.split_first_chunk::<16>()?;
        let link = Self {
            location: LocationId(Uuid::from_bytes(*id)),
            generation: i32::from_be_bytes(generation.try_into().ok()?),
        };
        good.then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_under_its_key_and_unchanged_alone() {
        let link = Link { location: LocationId::new(), generation: 3 };
        let token = link.token(&[7; 32]);

        assert_eq!(Link::read(&[7; 32], &token), Some(link));
        assert_eq!(Link::read(&[8; 32], &token), None, "another clinic's");
        assert_eq!(Link::read(&[7; 32], &token[1..]), None, "cut short");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Link::read(&[7; 32], &URL_SAFE_NO_PAD.encode(changed)), None, "{at}");
        }
    }
}
