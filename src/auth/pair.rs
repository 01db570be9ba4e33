//! What somebody gets who has signed in: an access token and a refresh token, and who he is.

use poem_openapi::Object;
use serde::Serialize;

use super::role::Role;
use super::store::Account;
use super::{refresh_token, token};
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;

/// A pair of tokens, and whose they are.
#[derive(Debug, Serialize, Object)]
pub struct Tokens {
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    pub refresh_token: String,
    pub session_id: SessionId,
    pub user: UserView,
}

/// Who signed in.
#[derive(Debug, Serialize, Object)]
pub struct UserView {
    pub id: AccountId,
    pub role: Role,
    pub full_name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
}

impl From<&Account> for UserView {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            role: account.role,
            full_name: account.full_name.clone(),
            email: account.email.clone(),
            phone: account.phone.clone(),
        }
    }
}

/// A pair for a session whose refresh token is of this generation.
pub(super) fn issue(
    realm: &Realm,
    account: &Account,
    session: SessionId,
    generation: i32,
) -> Tokens {
    Tokens {
        access_token: token::issue(realm, account.id, session),
        token_type: "Bearer".into(),
        expires_in: token::LIFETIME_SECONDS,
        refresh_token: refresh_token::issue(realm, session, generation),
        session_id: session,
        user: account.into(),
    }
}
