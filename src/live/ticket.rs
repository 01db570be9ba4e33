//! Tickets: a browser's `EventSource` can set no header, so it shows one in the address. Good for half a minute, for listening
//! alone, and for the session that asked for it; nothing of it is kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::auth::token::Verified;
use crate::crypto;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// Seconds that a ticket lets somebody in.
pub const LIFETIME_SECONDS: i64 = 30;

/// Session, account and end, then the MAC.
const SAID: usize = 40;

pub fn issue(realm: &Realm, account: AccountId, session: SessionId) -> String {
    let ends = realm.clock.now().timestamp() + LIFETIME_SECONDS;
    let mut ticket = Vec::with_capacity(SAID + 32);
    ticket.extend_from_slice(session.0.as_bytes());
    ticket.extend_from_slice(account.0.as_bytes());
    ticket.extend_from_slice(&ends.to_be_bytes());
    let mac = crypto::mac(&realm.keys.live_tickets, &ticket);
    ticket.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(ticket)
}

/// Whose it is, if it is ours and still good.
pub fn open(realm: &Realm, ticket: &str) -> Option<Verified> {
    let bytes: [u8; SAID + 32] = URL_SAFE_NO_PAD.decode(ticket).ok()?.try_into().ok()?;
    let (said, mac) = bytes.split_at(SAID);
    let good: bool = crypto::mac(&realm.keys.live_tickets, said).ct_eq(mac).into();
    let ends = i64::from_be_bytes(said[32..].try_into().ok()?);
    (good && realm.clock.now().timestamp() < ends).then_some(Verified {
        session: SessionId(Uuid::from_slice(&said[..16]).ok()?),
        account: AccountId(Uuid::from_slice(&said[16..32]).ok()?),
    })
}
