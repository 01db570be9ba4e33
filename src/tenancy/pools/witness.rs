//! Tells when a backend has gone. A client that hangs up cannot see it: sqlx drops the socket with its goodbye, and the backend
//! ends a little later. Until then PostgreSQL counts it, and a budget that does not is broken for that moment.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// A backend ends within milliseconds, or within a second if it was in the middle of a statement.
const LIMIT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(5);
/// What we give a backend when nobody can be asked. The server is then most likely down, its backends with it.
const GRACE: Duration = Duration::from_millis(100);

/// One connection to a server, opened when first needed, that looks for backends.
pub(super) struct Witness {
    connect: PgConnectOptions,
    conn: Mutex<Option<PgConnection>>,
}

impl Witness {
    pub(super) fn new(connect: PgConnectOptions) -> Witness {
        Witness { connect, conn: Mutex::new(None) }
    }

    /// Returns when the backend has gone.
    pub(super) async fn gone(&self, pid: i32) {
        let deadline = Instant::now() + LIMIT;
        let mut pause = Duration::from_millis(1);
        loop {
            sleep(pause).await;
            match self.sees(pid).await {
                Ok(false) => return,
                Ok(true) if Instant::now() > deadline => {
                    tracing::warn!(pid, "a closed connection's backend does not end");
                    return;
                }
                Ok(true) => pause = (pause * 2).min(Duration::from_millis(100)),
                Err(error) => {
                    tracing::warn!(pid, %error, "cannot ask whether a backend has ended");
                    return sleep(GRACE).await;
                }
            }
        }
    }

    async fn sees(&self, pid: i32) -> sqlx::Result<bool> {
        // Taken out while in use: what is cut off or fails is not put back.
        let mut kept = self.conn.lock().await;
        if let Some(conn) = kept.take()
            && let Ok((seen, conn)) = ask(conn, pid).await
        {
            *kept = Some(conn);
            return Ok(seen);
        }
        let conn = timeout(ANSWER, PgConnection::connect_with(&self.connect)).await;
        let conn = conn.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let (seen, conn) = ask(conn, pid).await?;
        *kept = Some(conn);
        Ok(seen)
    }
}

async fn ask(mut conn: PgConnection, pid: i32) -> sqlx::Result<(bool, PgConnection)> {
    let asking = sqlx::query_scalar("select exists (select from pg_stat_get_activity($1))")
        .bind(pid)
        .fetch_one(&mut conn);
    let seen = timeout(ANSWER, asking).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok((seen, conn))
}
