//! The form of a refresh token: `session ‖ generation ‖ MAC`, derived from the realm's key, so that nothing of it is kept.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::crypto;
use crate::ids::SessionId;
use crate::tenancy::Realm;

/// How long a refresh token lives, from its last use on.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

pub fn issue(realm: &Realm, session: SessionId, generation: i32) -> String {
    let mut token = Vec::with_capacity(52);
    token.extend_from_slice(session.0.as_bytes());
    token.extend_from_slice(&generation.to_be_bytes());
    let mac = crypto::mac(&realm.keys.refresh, &token);
    token.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(token)
}

/// The session and generation that a token of ours says.
pub fn parse(realm: &Realm, token: &str) -> Option<(SessionId, i32)> {
    let bytes: [u8; 52] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (said, mac) = bytes.split_at(20);
    let good: bool = crypto::mac(&realm.keys.refresh, said).ct_eq(mac).into();
    let session = Uuid::from_slice(&said[..16]).ok()?;
    let generation = i32::from_be_bytes(said[16..].try_into().ok()?);
    good.then_some((SessionId(session), generation))
}
