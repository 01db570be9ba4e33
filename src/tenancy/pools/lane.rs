//! One pool, as its server's books have it: what it holds, who waits there, what it could use.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::conn::Conn;
use super::{AcquireError, PoolInner};

/// How long a caller waits for one of its own pool's connections before a busy one of another pool is closed for it. To close
/// one and open another costs about as much; and ten busy pools that took from each other at once opened up to thirty a second.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

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

    /// Permits that the pool could use at once.
    pub(super) fn wants(&self, now: Instant) -> usize {
        if self.breaker.refuses(now).is_some() {
            return 0;
        }
        // Until a connection has succeeded, one tries for all: a database that is down burns one permit, not six.
        let at_once = if self.breaker.proven() { usize::MAX } else { 1 };
        (self.waiters.len().saturating_sub(self.connecting))
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
        self.standing() == 0 || (other.standing() > self.standing() + 1 && self.is_slow(now))
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.waiters.front().is_some_and(|first| now - first.since >= PATIENCE)
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
