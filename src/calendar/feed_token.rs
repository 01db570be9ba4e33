//! The secret of a feed's address: whose it is, and a MAC of it under a key of the clinic's. Nothing is kept of it, so looking
//! one's address up writes nothing, and whoever reads the tables cannot make one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::crypto;
use crate::ids::AccountId;

const ID: usize = 16;
/// Of the MAC's 32 octets: nobody guesses 192 bits.
const MAC: usize = 24;

fn mac(key: &[u8; 32], account: AccountId, generation: i32) -> [u8; MAC] {
    let message = [account.0.as_bytes().as_slice(), &generation.to_be_bytes()].concat();
    let whole = crypto::mac(key, &message);
    whole[..MAC].try_into().expect("twenty-four of thirty-two")
}

/// The token of an account's feed.
pub fn issue(key: &[u8; 32], account: AccountId, generation: i32) -> String {
    let mac = mac(key, account, generation);
    URL_SAFE_NO_PAD.encode([account.0.as_bytes().as_slice(), &mac].concat())
}

/// A token as it was given: not yet known to be good.
pub struct Given {
    pub account: AccountId,
    mac: [u8; MAC],
}

impl Given {
    /// Of a file's name, `<token>.ics`.
    pub fn read(file: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(file.strip_suffix(".ics")?).ok()?;
        let (id, mac) = bytes.split_first_chunk::<ID>()?;
        Some(Self { account: AccountId(Uuid::from_bytes(*id)), mac: mac.try_into().ok()? })
    }

    /// Whether it is the one of this generation.
    pub fn is_good(&self, key: &[u8; 32], generation: i32) -> bool {
        mac(key, self.account, generation).ct_eq(&self.mac).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_account_its_generation_and_its_clinic_alone() {
        let (key, account) = ([7; 32], AccountId::new());
        let token = issue(&key, account, 3);

        let given = Given::read(&format!("{token}.ics")).unwrap();

        assert_eq!(given.account, account);
        assert!(given.is_good(&key, 3));
        assert!(!given.is_good(&key, 2) && !given.is_good(&key, 4));
        assert!(!given.is_good(&[8; 32], 3));
        let somebody = Given { account: AccountId::new(), ..given };
        assert!(!somebody.is_good(&key, 3));
        assert!(Given::read(&token).is_none(), "without its ending");
        assert!(Given::read(&format!("{}.ics", &token[1..])).is_none(), "cut short");
    }
}
