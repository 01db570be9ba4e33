//! One PostgreSQL server as this process sees it: one budget of open connections, shared by all pools on it.
//! Every decision is taken under one short lock (`desk`); what takes time runs in tasks outside it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::conn::Conn;
use super::connect::{self, Link};
use super::desk::{Deed, Desk};
use super::lane::{Lane, PATIENCE};
use super::witness::Witness;
use super::{AcquireError, PoolFigures, PoolInner};

const REAP_EVERY: Duration = Duration::from_secs(1);

/// A pool's place in its server's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneId(pub(super) u64);

/// The budget leaves nothing to share out.
#[derive(Debug, thiserror::Error)]
#[error("a budget of {budget} connections to server {server} is too small: {wanted} are wanted")]
pub struct BudgetError {
    pub server: String,
    pub budget: usize,
    pub wanted: usize,
}

/// What a server holds at this moment, and has counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerFigures {
    /// Permits to share out: the budget without the witness and without what was set aside.
    pub budget: usize,
    /// Permits taken: connections in use, idle, being opened or closed.
    pub open: usize,
    pub idle: usize,
    /// Callers in the queue, of all pools.
    pub waiting: usize,
    pub opened: u64,
    pub closed: u64,
    /// Closed though still good, to make room for another pool.
    pub evicted: u64,
    /// Callers that gave up waiting.
    pub busy: u64,
    /// Attempts to connect that failed, or were refused by the handshake.
    pub failed: u64,
    /// Statements sent again because an idle connection turned out dead.
    pub repeated: u64,
}

/// One PostgreSQL server: the budget of connections that all pools on it share.
pub struct Server {
    name: String,
    runtime: Handle,
    witness: Option<Arc<Witness>>,
    desk: Mutex<Desk>,
}

pub(super) enum Claimed {
    Conn(Conn),
    Waiting(Waiting),
}

impl Server {
    /// A server on which this process may hold `budget` connections. Must be called within the tokio runtime.
    ///
    /// The **witness** is a connection of our own, straight to the server (never through a pooler) as any role that may
    /// log in: it tells when a closed connection's backend has really ended, so that PostgreSQL too never counts more than
    /// the budget. It takes one of the budget's places. Without it a closed connection may still be counted for some
    /// milliseconds: right for a server behind PgBouncer, whose backends are not ours to watch.
    pub fn new(
        name: &str,
        budget: usize,
        witness: Option<PgConnectOptions>,
    ) -> Result<Arc<Server>, BudgetError> {
        let wanted = 1 + usize::from(witness.is_some());
        if budget < wanted {
            return Err(BudgetError { server: name.to_owned(), budget, wanted });
        }
        let witness = witness.map(|connect| Arc::new(Witness::new(connect)));
        let permits = budget - usize::from(witness.is_some());
        Ok(Server::with(name.to_owned(), permits, witness))
    }

    /// Takes `permits` out of this budget for good, and gives them a budget of their own on the same server: central's
    /// share, say, that no number of clinics can use up. To be called before pools are made; at least one must stay.
    pub fn set_aside(&self, name: &str, permits: usize) -> Result<Arc<Server>, BudgetError> {
        let mut desk = self.desk();
        if permits == 0 || !desk.set_aside(permits) {
            let budget = desk.figures().budget;
            return Err(BudgetError { server: self.name.clone(), budget, wanted: permits.max(1) });
        }
        Ok(Server::with(name.to_owned(), permits, self.witness.clone()))
    }

    fn with(name: String, permits: usize, witness: Option<Arc<Witness>>) -> Arc<Server> {
        let (runtime, desk) = (Handle::current(), Mutex::new(Desk::new(permits)));
        let server = Arc::new(Server { name, runtime, witness, desk });
        server.runtime.spawn(reap(Arc::downgrade(&server)));
        server
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Permits taken by this process: connections in use, idle, being opened or closed.
    pub fn open_connections(&self) -> usize {
        self.figures().open
    }

    /// Callers in the queue, of all pools.
    pub fn waiting(&self) -> usize {
        self.figures().waiting
    }

    pub fn figures(&self) -> ServerFigures {
        self.desk().figures()
    }

    /// Closes what has been idle, or open, for long enough. A task does this every second.
    pub fn reap(self: &Arc<Self>) {
        self.decide(|desk, now, deeds| desk.reap(now, deeds));
    }

    pub(super) fn witness(&self) -> Option<&Witness> {
        self.witness.as_deref()
    }

    pub(super) fn add_lane(
        &self,
        pool: Weak<PoolInner>,
        max_open: usize,
        idle_limit: Duration,
    ) -> LaneId {
        self.desk().add_lane(Lane::new(pool, max_open, idle_limit))
    }

    pub(super) fn claim(self: &Arc<Self>, pool: &Arc<PoolInner>) -> Result<Claimed, AcquireError> {
        self.decide(|desk, now, deeds| {
            if let Some(link) = desk.take_idle(pool.lane, now)? {
                return Ok(Claimed::Conn(Conn::idle(pool.clone(), link)));
            }
            let (sender, answer) = oneshot::channel();
            let ticket = desk.enqueue(pool.lane, now, sender);
            desk.serve(now, deeds);
            Ok(Claimed::Waiting(Waiting { pool: pool.clone(), ticket, answer }))
        })
    }

    /// A connection comes back: fit for the next caller, or not. A new one serves once at least, whatever its lifetime.
    pub(super) fn give_back(self: &Arc<Self>, pool: &Arc<PoolInner>, link: Link, fit: bool) {
        self.decide(|desk, now, deeds| {
            if fit && link.retire_at > now {
                desk.place(pool, link, now, deeds);
            } else {
                desk.see_off(pool.lane, link, now, deeds);
            }
        });
    }

    pub(super) fn attempt_ended(
        self: &Arc<Self>,
        pool: &Arc<PoolInner>,
        outcome: Result<Link, AcquireError>,
    ) {
        self.decide(|desk, now, deeds| match outcome {
            Ok(link) => desk.connected(pool, link, now, deeds),
            Err(error) => desk.connect_failed(pool.lane, error, now, deeds),
        });
    }

    /// Connecting for this pool failed a moment ago.
    pub(super) fn refuses(&self, lane: LaneId) -> bool {
        self.desk().refuses(lane, Instant::now())
    }

    /// A dead connection was replaced by a fresh one on the same permit, or could not be.
    pub(super) fn replaced(&self, lane: LaneId, failure: Option<AcquireError>) {
        let mut desk = self.desk();
        match failure {
            None => {
                desk.counted.opened += 1;
                desk.counted.closed += 1;
                desk.counted.repeated += 1;
            }
            Some(error) => desk.note_failure(lane, error, Instant::now()),
        }
    }

    pub(super) fn departed(self: &Arc<Self>, lane: LaneId) {
        self.decide(|desk, now, deeds| desk.departed(lane, now, deeds));
    }

    pub(super) fn close_lane(self: &Arc<Self>, lane: LaneId) {
        self.decide(|desk, now, deeds| desk.close_lane(lane, now, deeds));
    }

    pub(super) fn lane_figures(&self, lane: LaneId) -> PoolFigures {
        self.desk().lane_figures(lane, Instant::now())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing in there panics half-way through a change.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides under the lock, then has done outside it what was decided.
    fn decide<T>(
        self: &Arc<Self>,
        decision: impl FnOnce(&mut Desk, Instant, &mut Vec<Deed>) -> T,
    ) -> T {
        let mut deeds = Vec::new(); // nearly always stays empty, and then costs nothing
        let decided = decision(&mut self.desk(), Instant::now(), &mut deeds);
        for deed in deeds {
            match deed {
                Deed::Connect(pool) => drop(self.runtime.spawn(connect::connect(pool))),
                Deed::SeeOff(lane, link) => {
                    drop(self.runtime.spawn(connect::see_off(self.clone(), lane, link)));
                }
            }
        }
        decided
    }
}

async fn reap(server: Weak<Server>) {
    let mut ticks = interval(REAP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(server) = server.upgrade() else { return };
        server.reap();
    }
}

/// A caller in the queue. Dropped, it leaves the queue, and passes on what it had not yet looked at.
pub(super) struct Waiting {
    pool: Arc<PoolInner>,
    ticket: u64,
    answer: oneshot::Receiver<Result<Conn, AcquireError>>,
}

impl Waiting {
    pub(super) async fn within(mut self, wait: Duration) -> Result<Conn, AcquireError> {
        let (soon, later) = (wait.min(PATIENCE), wait.saturating_sub(PATIENCE));
        if let Ok(answer) = timeout(soon, &mut self.answer).await {
            return answer.unwrap_or(Err(AcquireError::Closed));
        }
        // Now others may be asked to make room.
        self.pool.server.decide(|desk, now, deeds| desk.serve(now, deeds));
        match timeout(later, &mut self.answer).await {
            Ok(answer) => answer.unwrap_or(Err(AcquireError::Closed)),
            Err(_) => {
                self.leave();
                // The answer may have come between the end of the wait and our leaving.
                self.answer.try_recv().unwrap_or_else(|_| {
                    self.pool.server.desk().counted.busy += 1;
                    Err(AcquireError::Busy { retry_after: wait })
                })
            }
        }
    }

    fn leave(&self) {
        self.pool.server.desk().leave_queue(self.pool.lane, self.ticket);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}
