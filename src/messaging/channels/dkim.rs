//! DKIM (RFC 6376): a sending domain's key, the record that publishes it, and the signature on each letter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, LineEnding};
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;

/// Receivers need not heed shorter keys (RFC 8301), and longer ones do not fit where they look for them.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// What is signed. Sender and subject stand there once more than letters have them: nobody can add another.
const SIGNED: [&str; 13] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Reply-To",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "From",
    "Subject",
];

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("expected an RSA private key in PEM (PKCS#8 or PKCS#1), not encrypted")]
    Unreadable,
    #[error("a key has 2048 to 4096 bits")]
    Size,
}

/// A domain's private key. It has no `Debug`.
#[derive(Clone)]
pub struct PrivateKey(RsaPrivateKey);

impl PrivateKey {
    /// A new one. It takes a moment: not to be done where others wait.
    pub fn generate() -> Self {
        // From the system's source, as all secrets; by this library's own way to it.
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, *BITS.start());
        Self(key.expect("a key of this size can be made"))
    }

    /// # Errors
    /// When it is none, or of a size that receivers do not heed.
    pub fn read(pem: &str) -> Result<Self, BadKey> {
        let pem = pem.trim();
        let key = RsaPrivateKey::from_pkcs8_pem(pem)
            .ok()
            .or_else(|| RsaPrivateKey::from_pkcs1_pem(pem).ok())
            .ok_or(BadKey::Unreadable)?;
        match BITS.contains(&key.n().bits()) && key.validate().is_ok() {
            true => Ok(Self(key)),
            false => Err(BadKey::Size),
        }
    }

    /// As it is kept, sealed.
    pub fn pem(&self) -> String {
        let pem = self.0.to_pkcs1_pem(LineEnding::LF);
        pem.expect("a key that is one can be written").to_string()
    }

    /// What the record in the DNS says.
    pub fn record(&self) -> String {
        let public = self.0.to_public_key().to_public_key_der();
        let public = public.expect("a key that is one can be written");
        format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public.as_bytes()))
    }
}

/// Where the record lies.
pub fn record_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// Signs letters of a domain.
pub struct Signer {
    config: DkimConfig,
}

impl Signer {
    pub fn new(selector: &str, domain: &str, key: &PrivateKey) -> Self {
        let key = DkimSigningKey::new(&key.pem(), DkimSigningAlgorithm::Rsa);
        let relaxed = DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        };
        let config = DkimConfig::new(
            selector.to_owned(),
            domain.to_owned(),
            key.expect("our own PEM is read"),
            SIGNED.map(HeaderName::new_from_ascii_str).to_vec(),
            relaxed,
        );
        Self { config }
    }

    pub(super) fn sign(&self, letter: &mut Message) {
        letter.sign(&self.config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_receivers_heed_are_taken() {
        let short = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
        let short = short.to_pkcs1_pem(LineEnding::LF).unwrap();

        assert_eq!(PrivateKey::read(&short).err(), Some(BadKey::Size));
        for none in ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            assert_eq!(PrivateKey::read(none).err(), Some(BadKey::Unreadable), "{none}");
        }
    }

    #[test]
    fn a_key_that_was_made_is_read_again() {
        let made = PrivateKey::generate();

        let read = PrivateKey::read(&made.pem()).unwrap();

        assert_eq!(read.record(), made.record());
        assert!(made.record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
        assert_eq!(record_name("nadi", "shanti.example"), "nadi._domainkey.shanti.example");
    }
}
