//! After a failed connect, a pool says no at once for a short while: a database that is down costs its own callers a quick
//! answer, and nobody else a permit.

use std::time::Duration;

use tokio::time::Instant;

use super::AcquireError;
use super::connect::give_or_take_a_tenth;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Breaker {
    /// The last attempt succeeded. A new pool has yet to show it.
    proven: bool,
    failures: u32,
    tripped: Option<(Instant, AcquireError)>,
}

impl Breaker {
    pub(super) fn proven(&self) -> bool {
        self.proven
    }

    /// Why not to try now.
    pub(super) fn refuses(&self, now: Instant) -> Option<&AcquireError> {
        self.tripped.as_ref().filter(|(until, _)| now < *until).map(|(_, error)| error)
    }

    pub(super) fn failed(&mut self, error: AcquireError, now: Instant) {
        let pause = (FIRST * (1 << self.failures.min(8))).min(LONGEST);
        self.tripped = Some((now + give_or_take_a_tenth(pause), error));
        self.failures += 1;
        self.proven = false;
    }

    pub(super) fn succeeded(&mut self) {
        *self = Breaker { proven: true, ..Breaker::default() };
    }
}
