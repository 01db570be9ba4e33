//! How long a cached fact may be believed. While notices arrive, until one says otherwise; when they do not, one second.
//!
//! A cache alone cannot promise this: a load that began before a change may store its stale value after the change's
//! invalidation. So a value carries the generation that was read before it was loaded, and counts only while that stands.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How old a fact may be while notices do not arrive.
const DEAF: Duration = Duration::from_secs(1);
const SHARDS: usize = 4096;

/// Which facts have changed since when. Keys share counters: a collision costs a needless look, never a stale answer.
pub struct Freshness {
    generations: Vec<AtomicU64>,
    hearing: AtomicBool,
}

/// The age of a fact: taken before it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    generation: u64,
    at: Instant,
}

impl Stamp {
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            generations: std::iter::repeat_with(AtomicU64::default).take(SHARDS).collect(),
            hearing: AtomicBool::new(false),
        }
    }
}

impl Freshness {
    fn counter(&self, key: impl Hash) -> &AtomicU64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.generations[hash as usize % SHARDS]
    }

    /// To be taken before a fact is loaded.
    pub fn stamp(&self, key: impl Hash) -> Stamp {
        Stamp { generation: self.counter(key).load(Ordering::SeqCst), at: Instant::now() }
    }

    /// May a fact of this age be believed without looking again?
    pub fn stands(&self, key: impl Hash, stamp: Stamp) -> bool {
        self.counter(key).load(Ordering::SeqCst) == stamp.generation
            && (self.hearing.load(Ordering::SeqCst) || stamp.age() < DEAF)
    }

    /// The fact has changed: whatever was loaded before, or is being loaded now, no longer stands.
    pub fn changed(&self, key: impl Hash) {
        self.counter(key).fetch_add(1, Ordering::SeqCst);
    }

    /// Notices arrive again, or no more. What was missed in between is unknown, so nothing stands.
    pub fn set_hearing(&self, hearing: bool) {
        if hearing && !self.hearing.load(Ordering::SeqCst) {
            for counter in &self.generations {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.hearing.store(hearing, Ordering::SeqCst);
    }

    pub fn is_hearing(&self) -> bool {
        self.hearing.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_was_overtaken_by_a_change_does_not_stand() {
        let freshness = Freshness::default();
        freshness.set_hearing(true);
        let stamp = freshness.stamp("shanti");

        freshness.changed("shanti"); // while the load is still under way

        assert!(!freshness.stands("shanti", stamp));
        assert!(freshness.stands("shanti", freshness.stamp("shanti")));
    }

    #[test]
    fn hearing_again_trusts_nothing_from_before() {
        let freshness = Freshness::default();
        let deaf = freshness.stamp("shanti");

        freshness.set_hearing(true);

        assert!(!freshness.stands("shanti", deaf));
    }
}
