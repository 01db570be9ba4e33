//! The key above all keys, as a setting gives it.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// 32 bytes that wrap every clinic's root key. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct MasterKeyBytes(pub [u8; 32]);

impl std::fmt::Debug for MasterKeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKeyBytes(…)")
    }
}

/// From base64. What was wrong is not said: it would show the key.
impl FromStr for MasterKeyBytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = STANDARD.decode(text).map_err(|_| ())?;
        bytes.try_into().map(Self).map_err(|_| ())
    }
}
