//! Opening a connection, greeting it, and seeing it off so that its backend is gone before its permit is used again.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::budget::{LaneId, Server};
use super::{AcquireError, HandshakeError, PoolInner, PoolSettings};

/// How long a goodbye may take to be written. A peer that does not take five bytes by then is dead.
const GOODBYE: Duration = Duration::from_secs(1);

/// An open connection.
pub(super) struct Link {
    pub(super) conn: PgConnection,
    /// Its backend, where it is ours alone (not behind a pooler).
    pub(super) pid: Option<i32>,
    pub(super) retire_at: Instant,
}

impl Link {
    /// Closes it. Returns once PostgreSQL counts it no more, as far as the server has a witness to tell.
    pub(super) async fn see_off(self, server: &Server) {
        // Failing or late makes no difference: the socket closes when the connection drops, and the backend then
        // ends at its next look at it (see `greet`).
        let _ = timeout(GOODBYE, self.conn.close()).await;
        if let (Some(witness), Some(pid)) = (server.witness(), self.pid) {
            witness.gone(pid).await;
        }
    }
}

/// One attempt to connect, holding the permit that the server gave it. However it ends, a panic of the handshake or the end
/// of the runtime among the ways, the server hears of it.
struct Attempt {
    pool: Arc<PoolInner>,
    outcome: Option<Result<Link, AcquireError>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Err(AcquireError::Unreachable(Arc::new(
                io::Error::other("connecting was cut off").into(),
            )))
        });
        self.pool.server.attempt_ended(&self.pool, outcome);
    }
}

/// Connects in a task of its own: a caller that goes away does not throw a half-open connection away with it.
pub(super) async fn connect(pool: Arc<PoolInner>) {
    let mut attempt = Attempt { pool, outcome: None };
    let outcome = open(&attempt.pool).await;
    attempt.outcome = Some(outcome);
}

/// Tells the server that a permit is free again, however the closing ends.
struct Departure {
    server: Arc<Server>,
    lane: LaneId,
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.server.departed(self.lane);
    }
}

pub(super) async fn see_off(server: Arc<Server>, lane: LaneId, link: Link) {
    let departure = Departure { server, lane };
    link.see_off(&departure.server).await;
}

/// A connection that has passed the handshake.
pub(super) async fn open(pool: &PoolInner) -> Result<Link, AcquireError> {
    let opened = dial_and_greet(pool).await;
    if let Some(tell) = &pool.settings.reached {
        tell(opened.is_ok());
    }
    opened
}

async fn dial_and_greet(pool: &PoolInner) -> Result<Link, AcquireError> {
    let settings = &pool.settings;
    let deadline = Instant::now() + settings.connect_timeout;
    let conn = dial(settings, deadline).await.inspect_err(|error| {
        let (server, owner) = (pool.server.name(), settings.owner);
        tracing::warn!(%server, %owner, %error, "cannot connect");
    });
    let conn = conn.map_err(|error| AcquireError::Unreachable(Arc::new(error)))?;
    let mut link = Link {
        conn,
        pid: None,
        retire_at: Instant::now() + give_or_take_a_tenth(settings.lifetime),
    };
    let greeting = timeout_at(deadline, greet(pool, &mut link)).await;
    if let Err(error) = greeting.unwrap_or_else(|_| Err(HandshakeError::Db(timed_out()))) {
        let (server, owner) = (pool.server.name(), settings.owner);
        tracing::error!(%server, %owner, %error, "a new connection was refused");
        link.see_off(&pool.server).await;
        return Err(match error {
            HandshakeError::Mismatch(how) => AcquireError::Refused(how.into()),
            HandshakeError::NotReady(why) => AcquireError::NotReady(why.into()),
            HandshakeError::Db(error) => AcquireError::Unreachable(Arc::new(error)),
        });
    }
    Ok(link)
}

/// Connects. "Too many connections" is waited out: another process may be between a close and PostgreSQL's notice of it.
async fn dial(settings: &PoolSettings, deadline: Instant) -> sqlx::Result<PgConnection> {
    let mut pause = Duration::from_millis(10);
    loop {
        let conn = timeout_at(deadline, PgConnection::connect_with(&settings.connect)).await;
        match conn.unwrap_or_else(|_| Err(timed_out())) {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some("53300")
                    && Instant::now() + pause < deadline =>
            {
                sleep(pause).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
}

async fn greet(pool: &PoolInner, link: &mut Link) -> Result<(), HandshakeError> {
    if pool.settings.persistent {
        // A backend in the middle of a statement does not notice by itself that its client has gone; this makes it look
        // once a second, so that a statement whose caller hung up does not run on.
        let row = sqlx::raw_sql(
            "select pg_backend_pid(), set_config('client_connection_check_interval', '1s', false)",
        )
        .fetch_one(&mut link.conn)
        .await?;
        link.pid = Some(row.try_get(0)?);
    }
    (pool.handshake)(&mut link.conn).await
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}

/// Spreads what would otherwise happen everywhere at once. No secret hangs on it.
pub(super) fn give_or_take_a_tenth(length: Duration) -> Duration {
    let dice = RandomState::new().hash_one(()) % 1000;
    length.mul_f64(0.9 + dice as f64 / 5000.0)
}
