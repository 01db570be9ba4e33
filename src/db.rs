//! One transaction on one database: opened with its locks in a single round trip, and not committed before the wake-up
//! that its messages need is on record (`outbox.rs`, `tenancy/wakeups.rs`).

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::error::DatabaseError;
use uuid::Uuid;

use crate::actor::Actor;
use crate::audit::Chain;
use crate::ids::{ClinicId, MessageId};
use crate::tenancy::hinter::{Hinted, Hinter};
use crate::tenancy::notices::Bell;
use crate::tenancy::pools::Conn;
use crate::worker::FastPath;

/// How the outbox's promises are kept for one clinic: hint before commit, claim at once after it.
#[derive(Clone)]
pub struct Telling {
    pub clinic: ClinicId,
    pub hinter: Hinter,
    pub fast_path: FastPath,
}

/// How long after the hint a worker may look: a head start for this process's own fast path.
const GRACE: Duration = Duration::from_secs(3);

/// How long a rollback that nobody waits for may take.
const ROLLBACK: Duration = Duration::from_secs(1);

const HELD: &str = "a transaction has its connection until it is dropped";

/// What a transaction takes before anything else.
#[derive(Default)]
pub struct Opening<'a> {
    /// Subjects that nobody else may be booking meanwhile.
    pub lock: &'a [Uuid],
    /// Set when messages will be put: takes the outbox's gate, and hints.
    pub telling: Option<&'a Telling>,
    /// Rung after the commit of what others watch.
    pub bell: Option<&'a Bell>,
}

/// A transaction, with who acts in it. Dropped without [`Tx::commit`] it is as if it never was.
pub struct Tx {
    /// There until the transaction is dropped.
    conn: Option<Conn>,
    actor: Actor,
    telling: Option<(Telling, BoxFuture<'static, Hinted>)>,
    messages: Vec<(MessageId, bool)>,
    /// The audit log's, which is told of rows once they are committed.
    chain: Arc<Chain>,
    audited: bool,
    /// Rung after the commit, if there is news.
    bell: Option<Bell>,
    has_news: bool,
    now: DateTime<Utc>,
}

impl Tx {
    /// Begins, takes the gate and the locks, all in one round trip; then sends the hint, which travels while the
    /// transaction works.
    pub async fn begin(
        mut conn: Conn,
        actor: Actor,
        chain: Arc<Chain>,
        opening: Opening<'_>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        conn.begin_with(&opening_statements(&opening)).await?;
        let telling = opening.telling.map(|telling| {
            let hint = telling.hinter.hint(telling.clinic.0, GRACE);
            (telling.clone(), Box::pin(hint) as BoxFuture<'static, Hinted>)
        });
        Ok(Self {
            conn: Some(conn),
            actor,
            telling,
            messages: Vec::new(),
            chain,
            audited: false,
            bell: opening.bell.cloned(),
            has_news: false,
            now,
        })
    }

    /// The process's time: for what is due at once.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// From now on this is who acts: one who is known only after something in this transaction proved it.
    pub fn act_as(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Notes a message that this transaction put, to be claimed right after the commit.
    ///
    /// # Panics
    /// When the transaction was not opened for telling: its message could be lost.
    pub fn note_message(&mut self, id: MessageId) {
        assert!(self.telling.is_some(), "a transaction that tells must be opened with the gate");
        self.messages.push((id, false));
    }

    /// As [`Tx::note_message`], for a one-time code: it waits behind nothing else.
    ///
    /// # Panics
    /// As [`Tx::note_message`].
    pub fn note_code(&mut self, id: MessageId) {
        self.note_message(id);
        self.messages.last_mut().expect("noted just now").1 = true;
    }

    /// Notes that this transaction wrote to the audit log: its rows are sealed soon after the commit.
    pub fn note_audit(&mut self) {
        self.audited = true;
    }

    /// Notes that this transaction wrote what others watch: they are woken after the commit.
    pub fn note_news(&mut self) {
        self.has_news = true;
    }

    /// Commits, once the hint is on record or owed by this process; then wakes the sender.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        let mut hinted = None;
        if let Some((telling, hint)) = self.telling.take() {
            let _made_or_owed = hint.await; // either way the change commits
            hinted = Some(telling);
        }
        Conn::commit(&mut self).await?;
        if self.audited {
            self.chain.ring();
        }
        if let Some(bell) = self.bell.as_ref().filter(|_| self.has_news) {
            bell.ring();
        }
        if let Some(telling) = hinted {
            for (id, is_code) in &self.messages {
                telling.fast_path.wake(telling.clinic, *id, *is_code);
            }
        }
        Ok(())
    }

    /// Ends it without a trace, and frees its locks before the caller goes on.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        Conn::rollback(&mut self).await
    }
}

impl Drop for Tx {
    /// A refusal halfway is ordinary, so it does not cost a connection: it is rolled back and goes on to the next caller.
    /// One that does not answer soon is closed.
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take().filter(|conn| conn.in_transaction()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(ROLLBACK, conn.rollback()).await; // unfit if it failed: the pool sees
            });
        }
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect(HELD)
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect(HELD)
    }
}

/// Every lock is a statement of its own: one that read in the same statement would see the time before it waited.
fn opening_statements(opening: &Opening<'_>) -> String {
    let mut sql = String::new();
    if opening.telling.is_some() {
        sql.push_str(crate::outbox::GATE);
        sql.push(';');
    }
    let mut keys: Vec<i64> = opening.lock.iter().map(lock_key).collect();
    keys.sort_unstable(); // in the same order everywhere, or two of them wait for each other for ever
    keys.dedup();
    for key in keys {
        sql.push_str(&format!("select pg_advisory_xact_lock({key});"));
    }
    sql
}

/// The random half of a UUIDv7: two subjects that share one would only wait for each other.
fn lock_key(id: &Uuid) -> i64 {
    id.as_u64_pair().1 as i64
}

/// The constraint that refused a row, if one did.
pub fn violated(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(DatabaseError::constraint)
}

/// True when the database could not be reached, or broke off: nobody's input is at fault.
pub fn is_connection_trouble(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // 08: connection exception; 57P: shutdown, crash, dropped; 53: out of resources; 57014: out of time.
            code.starts_with("08")
                || code.starts_with("57P")
                || code.starts_with("53")
                || code == "57014"
        }
        _ => false,
    }
}

/// How often a transaction has been tried.
#[derive(Default)]
pub struct Tries(u8);

impl Tries {
    /// True when PostgreSQL asks to try the same transaction again (a deadlock, or a lost race), up to three times.
    pub fn again(&mut self, error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(|e| e.code());
        self.0 += 1;
        self.0 <= 3 && matches!(code.as_deref(), Some("40P01" | "40001"))
    }
}
