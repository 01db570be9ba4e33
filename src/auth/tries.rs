//! So many tries in a window, counted exactly: one transaction at a time judges a subject, and every instance counts in the
//! same table. What is counted is kept as a keyed hash.

use std::net::IpAddr;

use super::store;
use crate::crypto;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::limits::{self, Limit};
use crate::ids::AccountId;
use crate::tenancy::Realm;

/// Who may try how often.
pub struct Tries {
    subject: [u8; 32],
    limit: &'static Limit,
    words: &'static str,
}

impl Tries {
    pub fn of(realm: &Realm, limit: &'static Limit, who: &str, words: &'static str) -> Self {
        let said = format!("{}\0{who}", limit.name);
        Self { subject: crypto::mac(&realm.keys.blind_index, said.as_bytes()), limit, words }
    }

    /// Waits for its turn. Who counts several takes them through [`lock_all`].
    pub async fn lock(&self, tx: &mut Tx) -> sqlx::Result<()> {
        store::lock_failures(tx, &self.subject).await
    }

    /// # Errors
    /// `429` when none is left.
    pub async fn require_one(&self, tx: &mut Tx) -> Result<(), Problem> {
        let (made, wait) = store::login_failures(tx, &self.subject, self.limit.window).await?;
        if made >= i64::from(self.limit.quota) {
            return Err(self.limit.refuse(wait.unwrap_or(60.0), self.words));
        }
        Ok(())
    }

    pub async fn note(&self, tx: &mut Tx) -> sqlx::Result<()> {
        store::note_failure(tx, &self.subject, self.limit.window).await
    }

    pub async fn forget(&self, tx: &mut Tx) -> sqlx::Result<()> {
        store::forget_failures(tx, &self.subject).await
    }
}

/// Takes the locks of several in one order, whoever comes: so that two never wait for each other.
pub async fn lock_all(tx: &mut Tx, all: &[&Tries]) -> sqlx::Result<()> {
    let mut sorted = all.to_vec();
    sorted.sort_by_key(|tries| tries.subject);
    for tries in sorted {
        tries.lock(tx).await?;
    }
    Ok(())
}

/// An account at an address: what is counted so locks nobody out who is elsewhere.
pub fn at_address(account: AccountId, address: Option<IpAddr>) -> String {
    format!("{account}\0{}", place(address))
}

/// An address as it is counted: in IPv6 one customer has a /64 of them.
pub fn place(address: Option<IpAddr>) -> String {
    let place = address.map(|address| limits::network(address).unwrap_or(address));
    place.map(|address| address.to_string()).unwrap_or_default()
}
