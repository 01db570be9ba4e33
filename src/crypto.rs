//! Keys and ciphertexts. `NADI_MASTER_KEY` wraps one random root key for each clinic; everything secret of a clinic
//! derives from its root key by HKDF. A ciphertext begins with a version byte and a key id, and binds where it is kept.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::MasterKeyBytes;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// A ciphertext that does not open: another key, another place, or tampered with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the ciphertext does not open under this key at this place")]
pub struct Unreadable;

/// Random bytes from the system's source. The one place that makes secrets.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(clippy::disallowed_methods, reason = "the one place that makes secrets")]
    rand::fill(&mut bytes[..]);
    bytes
}

/// At random between 0 and 1: the jitter of pauses, so that those who wait do not all come back at once.
pub fn jitter() -> f64 {
    f64::from(u32::from_be_bytes(random())) / f64::from(u32::MAX)
}

/// A random token for links and requests: 256 bits, URL-safe.
pub fn random_token() -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<32>())
}

/// Six digits, leading zeros kept, each code as likely as any other.
pub fn random_code() -> String {
    const CODES: u32 = 1_000_000;
    const FAIR: u32 = u32::MAX - u32::MAX % CODES; // taken from beyond it, low codes would come oftener
    loop {
        let drawn = u32::from_be_bytes(random());
        if drawn < FAIR {
            return format!("{:06}", drawn % CODES);
        }
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA-256.
pub fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// A key that seals fields and wraps keys (XChaCha20-Poly1305, random nonces).
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    id: [u8; 4],
}

impl SealingKey {
    pub fn new(key: &[u8; 32]) -> Self {
        let digest = sha256(&[b"nadi key id".as_slice(), key].concat());
        let id = digest[..4].try_into().expect("four of thirty-two");
        Self { cipher: XChaCha20Poly1305::new(key.into()), id }
    }

    /// `version ‖ key id ‖ nonce ‖ ciphertext`, bound to `place` (such as `outbox.payload:<row id>`).
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random();
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("only a message of 256 GiB can fail");
        [&[VERSION], self.id.as_slice(), &nonce, &sealed].concat()
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(Unreadable)?;
        let rest = rest.strip_prefix(&self.id).ok_or(Unreadable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unreadable)
    }
}

/// The master key: wraps clinics' root keys, and keeps the platform's own secrets.
#[derive(Clone)]
pub struct MasterKey {
    wrapping: SealingKey,
    platform: ClinicKeys,
    fingerprint: String,
}

impl MasterKey {
    pub fn new(bytes: &MasterKeyBytes) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, &bytes.0);
        let fingerprint = sha256(&expand(&hkdf, "fingerprint"));
        let fingerprint = fingerprint[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            wrapping: SealingKey::new(&expand(&hkdf, "wrap clinic root keys")),
            platform: ClinicKeys::derive(&RootKey(expand(&hkdf, "platform root"))),
            fingerprint,
        }
    }

    /// Tells keys apart without telling the key.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The keys of the platform itself: of its own sign-ins and secrets.
    pub fn platform(&self) -> &ClinicKeys {
        &self.platform
    }

    pub fn wrap(&self, clinic: Uuid, root: &RootKey) -> Vec<u8> {
        self.wrapping.seal(&format!("clinics.root_key:{clinic}"), &root.0)
    }

    pub fn unwrap(&self, clinic: Uuid, wrapped: &[u8]) -> Result<RootKey, Unreadable> {
        let plain = self.wrapping.open(&format!("clinics.root_key:{clinic}"), wrapped)?;
        plain.try_into().map(RootKey).map_err(|_| Unreadable)
    }
}

/// The root of one clinic's keys. Destroyed with the clinic, and with it all that it sealed.
#[derive(Clone)]
pub struct RootKey([u8; 32]);

impl RootKey {
    pub fn generate() -> Self {
        Self(random())
    }
}

/// What derives from a root key, each for one purpose.
#[derive(Clone)]
pub struct ClinicKeys {
    /// Signs access tokens (HS256).
    pub tokens: [u8; 32],
    /// Authenticates refresh tokens.
    pub refresh: [u8; 32],
    /// Keys the hashes of what is looked up but not kept (identifiers of failed sign-ins).
    pub blind_index: [u8; 32],
    /// Links the audit log's rows into a chain that nobody can make anew from the database alone.
    pub audit: [u8; 32],
    /// The pepper of one-time codes, and what recognises a device that signed in with one.
    pub one_time_codes: [u8; 32],
    /// Proves that a letter is ours: where it comes back to, and what a click on its link takes back.
    pub letters: [u8; 32],
    /// Signs what links and buttons in messages carry.
    pub replies: [u8; 32],
    /// The addresses of calendar feeds.
    pub feeds: [u8; 32],
    /// Names the rooms of video visits, so that nobody guesses one.
    pub video_rooms: [u8; 32],
    /// Authenticates tickets for listening (`live/ticket.rs`).
    pub live_tickets: [u8; 32],
    /// Seals fields.
    pub fields: SealingKey,
    database_password: [u8; 32],
}

impl ClinicKeys {
    pub fn derive(root: &RootKey) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, &root.0);
        Self {
            tokens: expand(&hkdf, "access token signing"),
            refresh: expand(&hkdf, "refresh tokens"),
            blind_index: expand(&hkdf, "blind index"),
            audit: expand(&hkdf, "audit chain"),
            one_time_codes: expand(&hkdf, "one-time codes"),
            letters: expand(&hkdf, "letters"),
            replies: expand(&hkdf, "replies to messages"),
            feeds: expand(&hkdf, "calendar feeds"),
            video_rooms: expand(&hkdf, "video rooms"),
            live_tickets: expand(&hkdf, "live tickets"),
            fields: SealingKey::new(&expand(&hkdf, "field encryption")),
            database_password: expand(&hkdf, "database role password"),
        }
    }

    /// The password of the clinic's login role in PostgreSQL.
    pub fn database_password(&self) -> String {
        self.database_password.iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn expand(hkdf: &Hkdf<Sha256>, purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf.expand(format!("nadi/v1/{purpose}").as_bytes(), &mut key).expect("32 bytes is short");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_opens_only_where_it_was_sealed() {
        let key = SealingKey::new(&[7; 32]);
        let sealed = key.seal("outbox.payload:1", b"secret");

        assert_eq!(key.open("outbox.payload:1", &sealed).unwrap(), b"secret");
        assert_eq!(key.open("outbox.payload:2", &sealed), Err(Unreadable));
        assert_eq!(SealingKey::new(&[8; 32]).open("outbox.payload:1", &sealed), Err(Unreadable));
        for byte in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[byte] ^= 1;
            assert_eq!(key.open("outbox.payload:1", &tampered), Err(Unreadable));
        }
    }

    #[test]
    fn a_root_key_unwraps_for_its_own_clinic_alone() {
        let master = MasterKey::new(&MasterKeyBytes([1; 32]));
        let (shanti, arogya) = (crate::ids::new_uuid(), crate::ids::new_uuid());
        let wrapped = master.wrap(shanti, &RootKey::generate());

        assert!(master.unwrap(shanti, &wrapped).is_ok());
        assert!(master.unwrap(arogya, &wrapped).is_err());
        assert!(MasterKey::new(&MasterKeyBytes([2; 32])).unwrap(shanti, &wrapped).is_err());
    }

    #[test]
    fn every_purpose_has_a_key_of_its_own() {
        let keys = ClinicKeys::derive(&RootKey::generate());

        let all = [
            keys.tokens,
            keys.refresh,
            keys.blind_index,
            keys.audit,
            keys.one_time_codes,
            keys.letters,
            keys.replies,
            keys.video_rooms,
            keys.live_tickets,
            keys.database_password,
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }
}
