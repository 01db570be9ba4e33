//! The handles through which all other code reaches a database. A [`Realm`] is a database whose people sign in to it: the
//! platform's own, or a clinic's. A [`Clinic`] can be had from the directory alone, for the host that a request named.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use uuid::Uuid;

use super::notices::Bell;
use super::pools::{AcquireError, Conn, Pool};
use crate::audit::{Actor, Chain};
use crate::crypto::ClinicKeys;
use crate::db::{Opening, Telling, Tx};
use crate::error::Problem;
use crate::ids::ClinicId;
use crate::time::Clock;

/// A database with people who sign in to it, and the keys of their tokens.
pub struct Realm {
    /// The clinic's id; nil for the platform.
    pub id: Uuid,
    pub keys: ClinicKeys,
    pub clock: Clock,
    /// Where the world finds it, for links: `https://shanti.clinics.example`.
    pub url: String,
    /// Its audit log's.
    pub chain: Arc<Chain>,
    /// Rung when there is news for those who watch; the platform has none.
    pub bell: Option<Bell>,
    pub(super) pool: Pool,
}

impl Realm {
    pub fn is_platform(&self) -> bool {
        self.id.is_nil()
    }

    /// A connection for reading. It goes back by itself, if its last use ended cleanly.
    pub async fn read(&self) -> Result<Conn, Problem> {
        self.pool.acquire().await.map_err(|error| self.unreachable(error))
    }

    /// A transaction that sends no message.
    pub async fn begin(&self, actor: Actor) -> Result<Tx, Problem> {
        self.open(actor, Opening::default()).await
    }

    async fn open(&self, actor: Actor, opening: Opening<'_>) -> Result<Tx, Problem> {
        let opening = Opening { bell: self.bell.as_ref(), ..opening };
        let conn = self.read().await?;
        let chain = self.chain.clone();
        Ok(Tx::begin(conn, actor, chain, opening, self.clock.now()).await?)
    }

    fn unreachable(&self, error: AcquireError) -> Problem {
        match error {
            AcquireError::Busy { retry_after } => Problem::unavailable(
                "busy",
                "too many connections are in use; nothing was changed, try again",
            )
            .retry_after(retry_after.max(Duration::from_secs(1)).as_secs()),
            AcquireError::Unreachable(error) => {
                tracing::warn!(realm = %self.id, %error, "the database cannot be reached");
                Problem::unavailable("clinic-unavailable", "the database cannot be reached now")
            }
            AcquireError::NotReady(why) => {
                tracing::info!(realm = %self.id, %why, "not ready");
                Problem::unavailable(
                    "clinic-upgrading",
                    "this clinic's database is being upgraded; try again shortly",
                )
                .retry_after(5)
            }
            // The handshake has raised the alarm already.
            AcquireError::Refused(_) => {
                Problem::unavailable("clinic-unavailable", "the database cannot be used now")
            }
            AcquireError::Closed => Problem::unavailable(
                "clinic-unavailable",
                "this clinic is being reloaded; try again",
            )
            .retry_after(1),
        }
    }
}

/// One clinic, open for work: its facts and its database.
pub struct Clinic {
    pub id: ClinicId,
    pub slug: String,
    pub name: String,
    pub zone: Tz,
    pub language: String,
    /// ISO 3166, two letters: how national phone numbers are read.
    pub country: String,
    pub realm: Arc<Realm>,
    pub(super) telling: Telling,
    pub(super) mail_provider: bool,
}

impl Clinic {
    /// A transaction that takes `lock`ed subjects for itself (sorted, before anything is read) and sends no message.
    pub async fn begin_locking(&self, actor: Actor, lock: &[Uuid]) -> Result<Tx, Problem> {
        self.realm.open(actor, Opening { lock, ..Opening::default() }).await
    }

    /// A transaction that may put messages, and takes `lock`ed subjects for itself as [`Clinic::begin_locking`] does.
    pub async fn begin_telling(&self, actor: Actor, lock: &[Uuid]) -> Result<Tx, Problem> {
        let opening = Opening { lock, telling: Some(&self.telling), ..Opening::default() };
        self.realm.open(actor, opening).await
    }

    /// Whether its mail reaches anybody: a link that cannot be sent is shown instead.
    pub fn has_mail_provider(&self) -> bool {
        self.mail_provider
    }
}

impl Deref for Clinic {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.realm
    }
}
