//! Recovery codes: for those who lost the app. Ten, each good once, kept as argon2id hashes. The first character says which of the
//! ten it is, so that a guess costs one hash and not ten; the other eleven are 55 random bits.

use uuid::Uuid;

use crate::auth::password;
use crate::crypto;
use crate::error::Problem;

/// How many somebody gets.
pub const COUNT: i16 = 10;

/// Crockford's: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 12;

/// A code as it was typed, put right.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    pub fn generate(n: i16) -> Self {
        let random: [u8; LENGTH - 1] = crypto::random();
        let rest = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        Self(n.to_string().chars().chain(rest).collect())
    }

    /// What people type: in small letters, with and without hyphens, `O` for `0`.
    pub fn parse(text: &str) -> Option<Self> {
        let code: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-'))
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            })
            .collect();
        let good = code.len() == LENGTH
            && code.starts_with(|c: char| c.is_ascii_digit())
            && code.bytes().all(|b| ALPHABET.contains(&b));
        good.then_some(Self(code))
    }

    /// Which of the ten.
    pub fn n(&self) -> i16 {
        i16::from(self.0.as_bytes()[0] - b'0')
    }

    /// `4K7Q-9MXT-2BRF`
    pub fn shown(&self) -> String {
        format!("{}-{}-{}", &self.0[..4], &self.0[4..8], &self.0[8..])
    }

    pub async fn hash(&self, realm: Uuid) -> Result<String, Problem> {
        password::hash(realm, self.0.clone()).await
    }

    pub async fn proves(self, realm: Uuid, hash: Option<String>) -> Result<bool, Problem> {
        password::verify(realm, self.0, hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate(4);
        assert_eq!((code.n(), code.shown().len()), (4, 14));
        assert!(RecoveryCode::parse(&code.shown()) == Some(code.clone()));
        let typed = code.shown().to_lowercase().replace('-', " ").replace('0', "o");
        assert!(RecoveryCode::parse(&typed) == Some(code));
        for bad in
            ["", "123456", "A000-0000-0000", "4K7Q-9MXT-2BR", "4K7Q-9MXT-2BRU", "४K7Q-9MXT-2BRF"]
        {
            assert!(RecoveryCode::parse(bad).is_none(), "{bad}");
        }
    }
}
