//! Access tokens: JWTs of 15 minutes, signed with the realm's own key. Another clinic's does not verify.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::crypto::ClinicKeys;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// Seconds that an access token lives.
pub const LIFETIME_SECONDS: i64 = 15 * 60;
const ISSUER: &str = "nadi";
const PURPOSE: &str = "access";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    nbf: i64,
    exp: i64,
    /// A token made for something else is no access token.
    purpose: String,
}

/// What a good token says. The role is not in it: the session's record has that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub account: AccountId,
    pub session: SessionId,
}

pub fn issue(realm: &Realm, account: AccountId, session: SessionId) -> String {
    issue_with(&realm.keys, realm.id, realm.clock.now(), account, session)
}

/// A token of the realm `audience`, good from `now` on.
pub fn issue_with(
    keys: &ClinicKeys,
    audience: Uuid,
    now: DateTime<Utc>,
    account: AccountId,
    session: SessionId,
) -> String {
    let now = now.timestamp();
    let claims = Claims {
        iss: ISSUER.into(),
        aud: audience.to_string(),
        sub: account.0,
        sid: session.0,
        nbf: now,
        exp: now + LIFETIME_SECONDS,
        purpose: PURPOSE.into(),
    };
    let key = EncodingKey::from_secret(&keys.tokens);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .expect("plain claims under a symmetric key always encode")
}

/// The account and session of a token that is good at this realm, now.
pub fn verify(realm: &Realm, token: &str) -> Option<Verified> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[realm.id]);
    // The library reads the system's clock; ours is the realm's, so both ends are checked below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let key = DecodingKey::from_secret(&realm.keys.tokens);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
    let now = realm.clock.now().timestamp();
    const LEEWAY: i64 = 5; // instances' clocks may differ by so much
    let good = claims.purpose == PURPOSE && claims.nbf - LEEWAY <= now && now < claims.exp + LEEWAY;
    good.then_some(Verified { account: AccountId(claims.sub), session: SessionId(claims.sid) })
}
