//! One pool, as its server's books have it: what it holds, who waits there, what it could use.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::conn::Conn;
use super::{AcquireError, PoolInner};

/// How long a caller waits for one of its own pool's connections before one more than its pool's share is used, or a busy one of
/// another pool closed for it. Some statements' worth, and twice what it costs to close one and open another: ten busy pools that
/// took from each other at once opened up to thirty a second.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

/// A caller in a pool's queue.
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) since: Instant,
    pub(super) answer: oneshot::Sender<Result<Conn, AcquireError>>,
}

pub(super) struct Lane {
    pub(super) pool: Weak<PoolInner>,
    pub(super) max_open: usize,
    pub(super) idle_limit: Duration,
    /// Whether a caller has one of its connections, as `Desk::busy` has counted.
    pub(super) busy: bool,
    /// Permits taken: in use, idle, being opened, being closed.
    pub(super) open: usize,
    pub(super) connecting: usize,
    pub(super) closing: usize,
    /// Its idle connections, oldest first, as keys of `Desk::idle`.
    pub(super) stash: VecDeque<u64>,
    pub(super) waiters: VecDeque<Waiter>,
    pub(super) queued: bool,
    /// Handed to its own callers in a row while others waited for a permit.
    pub(super) own_turns: u32,
    pub(super) breaker: Breaker,
    pub(super) closed: bool,
    pub(super) used_at: Instant,
}

impl Lane {
    pub(super) fn new(pool: Weak<PoolInner>, max_open: usize, idle_limit: Duration) -> Lane {
        Lane {
            pool,
            max_open: max_open.max(1),
            idle_limit,
            busy: false,
            open: 0,
            connecting: 0,
            closing: 0,
            stash: VecDeque::new(),
            waiters: VecDeque::new(),
            queued: false,
            own_turns: 0,
            breaker: Breaker::default(),
            closed: false,
            used_at: Instant::now(),
        }
    }

    /// Of its connections, those that callers have.
    pub(super) fn in_use(&self) -> usize {
        self.open - self.connecting - self.closing - self.stash.len()
    }

    /// How many more of its connections may be used at once: its share of what a pool alone may hold, for that many keep the
    /// server busy. PostgreSQL's processes find what they need in the processor's caches while few of them take turns
    /// (docs/performance.md).
    fn room(&self, used: usize, busy_pools: usize) -> usize {
        let pools = busy_pools + usize::from(!self.busy);
        (self.max_open / pools).max(1).saturating_sub(used)
    }

    /// Callers, of so many, who may have an idle connection: there is room, or they have waited for long enough.
    pub(super) fn may_go(&self, callers: usize, busy_pools: usize, now: Instant) -> usize {
        self.room(self.in_use(), busy_pools).min(callers).max(self.slow(now))
    }

    /// Permits that the pool could use at once.
    pub(super) fn wants(&self, busy_pools: usize, now: Instant) -> usize {
        if self.breaker.refuses(now).is_some() {
            return 0;
        }
        // Until a connection has succeeded, one tries for all: a database that is down burns one permit, not six.
        let at_once = if self.breaker.proven() { usize::MAX } else { 1 };
        let unserved = |callers: usize| callers.saturating_sub(self.connecting);
        let room = self.room(self.in_use() + self.connecting, busy_pools);
        room.min(unserved(self.waiters.len()))
            .max(unserved(self.slow(now)))
            .min(self.max_open.saturating_sub(self.open))
            .min(at_once.saturating_sub(self.connecting))
    }

    /// Connections that it has, or will have in a moment.
    pub(super) fn standing(&self) -> usize {
        self.open - self.closing
    }

    /// May this pool have a connection of `other` closed to make room for one of its own? It must have none yet, or clearly
    /// fewer and none that comes back soon: so that busy pools end up with equal shares, and then leave each other alone.
    pub(super) fn may_take_from(&self, other: &Lane, now: Instant) -> bool {
        self.standing() == 0 || (other.standing() > self.standing() + 1 && self.slow(now) > 0)
    }

    /// Callers who have waited for long enough: the first ones of the queue.
    fn slow(&self, now: Instant) -> usize {
        self.waiters.partition_point(|waiter| now - waiter.since >= PATIENCE)
    }

    /// Why nobody needs to wait here: connecting fails, and there is no connection that could come back.
    pub(super) fn hopeless(&self, now: Instant) -> Option<AcquireError> {
        if self.open == self.closing { self.breaker.refuses(now).cloned() } else { None }
    }

    pub(super) fn dismiss(&mut self, error: &AcquireError) {
        for waiter in self.waiters.drain(..) {
            // The receiver of a waiter in the queue is alive: who leaves takes it out first.
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }
}
