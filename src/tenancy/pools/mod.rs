//! Connection pools, one for each database, under one budget for each PostgreSQL server.
//!
//! The permit belongs to the **open connection**, not to the query: however many pools there are, a process
//! never holds more connections to a server than its budget. Nothing is pinged: a warm read is one round trip.
//!
//! - `budget`: who may open a connection, whose idle one makes room, who waits next.
//! - `conn`: what a caller holds, and whether its last use ended so that the next caller may have it.
//! - `connect`: how a connection is opened, greeted and seen off.
//! - `desk`, `lane`: the books behind the budget; a lane is one pool in them.
//! - `statement`: a statement on its way, which may have to be sent again.
//! - `witness`: how we know that a backend has really gone.

mod breaker;
mod budget;
mod conn;
mod connect;
mod desk;
mod lane;
mod statement;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

pub use budget::{BudgetError, Server, ServerFigures};
pub use conn::Conn;

use budget::{Claimed, LaneId};

/// What each new connection must pass before its first use: it is the clinic's database, its level is one we serve …
pub type Handshake = Arc<
    dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<(), HandshakeError>> + Send + Sync,
>;

/// Told of each attempt to connect, whether it came to a connection.
pub type Reached = Arc<dyn Fn(bool) + Send + Sync>;

/// Why a new connection was not let in.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It is not what it should be; the text says how.
    #[error("{0}")]
    Mismatch(String),
    /// It is the right one, but not ready to be used: being upgraded, say.
    #[error("{0}")]
    NotReady(String),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Why there is no connection to be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AcquireError {
    /// Every connection that we may hold was in use for as long as we wait.
    #[error("all connections to the database are in use")]
    Busy { retry_after: Duration },
    /// Connecting fails. Said at once, without trying, for a short while after each failure.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Arc<sqlx::Error>),
    /// The handshake says that this is not the database it should be.
    #[error("the database was refused: {0}")]
    Refused(Arc<str>),
    /// The handshake says to come back later.
    #[error("the database is not ready: {0}")]
    NotReady(Arc<str>),
    /// The pool has left service; who asks the cache again gets its successor.
    #[error("the pool is closed")]
    Closed,
}

/// How one pool behaves. `new` has the values that we mean; change a field where a test or a setting says so.
#[derive(Clone)]
pub struct PoolSettings {
    pub connect: PgConnectOptions,
    /// Whose pool it is, for the log.
    pub owner: Uuid,
    /// Connections this pool may hold: six times the cores, measured against three times: a list gains a tenth, a booking, which
    /// waits for locks and disks while it holds one, a third (docs/performance.md).
    pub max_open: usize,
    /// How long a caller waits for a connection before it hears `Busy`.
    pub wait: Duration,
    /// An idle connection is closed after this.
    pub idle: Duration,
    /// Every connection is closed after this, give or take a tenth, so that not all go at once.
    pub lifetime: Duration,
    pub connect_timeout: Duration,
    /// False behind PgBouncer in transaction mode: statements stay unnamed, and the session is left as it is.
    pub persistent: bool,
    pub reached: Option<Reached>,
}

impl PoolSettings {
    pub fn new(connect: PgConnectOptions, owner: Uuid) -> PoolSettings {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        PoolSettings {
            connect,
            owner,
            max_open: (6 * cores).min(16),
            wait: Duration::from_secs(2),
            idle: Duration::from_secs(60),
            lifetime: Duration::from_secs(30 * 60),
            connect_timeout: Duration::from_secs(5),
            persistent: true,
            reached: None,
        }
    }
}

/// What a pool holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Open connections, those being opened or closed among them.
    pub open: usize,
    pub idle: usize,
    /// Callers in the queue.
    pub waiting: usize,
    /// How long nobody has asked for a connection.
    pub unused_for: Duration,
}

/// A database's pool. A handle: clones share it, and the last one to go closes it.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<PoolInner>,
}

struct PoolInner {
    server: Arc<Server>,
    lane: LaneId,
    settings: PoolSettings,
    handshake: Handshake,
}

impl Pool {
    /// A pool that has opened nothing yet.
    pub fn new(server: Arc<Server>, settings: PoolSettings, handshake: Handshake) -> Pool {
        Pool {
            inner: Arc::new_cyclic(|pool| PoolInner {
                lane: server.add_lane(pool.clone(), settings.max_open, settings.idle),
                server,
                settings,
                handshake,
            }),
        }
    }

    /// A connection: an idle one, a new one, or the next that comes free.
    ///
    /// **Statements outside a transaction are reads**, by convention: when the first one meets a connection that died
    /// while it lay idle, it is sent again, once, on a fresh one. A lone statement that writes calls
    /// [`Conn::never_repeat`] first, or has a transaction. Dropping the future leaves nothing behind.
    pub async fn acquire(&self) -> Result<Conn, AcquireError> {
        match self.inner.server.claim(&self.inner)? {
            Claimed::Conn(conn) => Ok(conn),
            Claimed::Waiting(waiting) => waiting.within(self.inner.settings.wait).await,
        }
    }

    /// A pool of one connection to the same place, under the same budget and handshake: for what must still be written after
    /// this one has left service.
    pub fn afterwards(&self) -> Pool {
        let PoolInner { server, settings, handshake, .. } = &*self.inner;
        let settings = PoolSettings { max_open: 1, ..settings.clone() };
        Pool::new(server.clone(), settings, handshake.clone())
    }

    /// Takes the pool out of service, without waiting: callers in the queue and new ones hear `Closed`, idle connections
    /// close now, those in use when they come back.
    pub fn close(&self) {
        self.inner.server.close_lane(self.inner.lane);
    }

    pub fn figures(&self) -> PoolFigures {
        self.inner.server.lane_figures(self.inner.lane)
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.inner.server
    }
}

impl Drop for PoolInner {
    fn drop(&mut self) {
        self.server.close_lane(self.lane);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the settings: they hold a password.
        f.debug_struct("Pool").field("owner", &self.inner.settings.owner).finish_non_exhaustive()
    }
}
