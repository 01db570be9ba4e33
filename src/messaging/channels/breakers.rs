//! All breakers of a process: one for each clinic's account with a provider, one for each provider's host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::Outcome;
use super::breaker::{Breaker, Closed, Verdict};
use crate::ids::ClinicId;

/// Whose breaker it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A clinic's account with a provider, under its settings of that version.
    Account { clinic_id: ClinicId, provider: &'static str, settings_version: i64 },
    /// A provider's host, for all clinics. An account that is refused says nothing about it.
    Host(String),
}

/// The breakers of one process, so many at most: those idle for long go first, then those least used.
pub struct Breakers {
    kept: Mutex<HashMap<Key, Breaker>>,
    most: usize,
}

/// A call let through by one breaker or several. Dropped without a word, it was as if never made.
#[must_use = "a call's verdict is told by `end`"]
pub struct Pass {
    breakers: Arc<Breakers>,
    through: Vec<(Key, u64)>,
}

impl Breakers {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), most: most.max(1) })
    }

    /// Lets a call through all of these, or none.
    ///
    /// # Errors
    /// The first that is open.
    pub fn enter(
        self: &Arc<Self>,
        keys: impl IntoIterator<Item = Key>,
        now: Instant,
    ) -> Result<Pass, Closed> {
        let mut pass = Pass { breakers: self.clone(), through: Vec::new() };
        for key in keys {
            // Where one is open, what was entered before is given back with the pass.
            let generation = self.of(&mut self.kept(), &key, now).enter(now)?;
            pass.through.push((key, generation));
        }
        Ok(pass)
    }

    /// Whether a call would be let through, without making one.
    ///
    /// # Errors
    /// Why not.
    pub fn peek(&self, key: &Key, now: Instant) -> Result<(), Closed> {
        match self.kept().get(key) {
            Some(breaker) => breaker.clone().enter(now).map(drop),
            None => Ok(()),
        }
    }

    /// How many let no call through now: of accounts, of hosts.
    pub fn open(&self, now: Instant) -> (usize, usize) {
        let kept = self.kept();
        let shut = kept.iter().filter(|(_, breaker)| (*breaker).clone().enter(now).is_err());
        let (hosts, accounts): (Vec<_>, Vec<_>) =
            shut.partition(|(key, _)| matches!(key, Key::Host(_)));
        (accounts.len(), hosts.len())
    }

    fn of<'a>(
        &self,
        kept: &'a mut HashMap<Key, Breaker>,
        key: &Key,
        now: Instant,
    ) -> &'a mut Breaker {
        if kept.len() >= self.most && !kept.contains_key(key) {
            kept.retain(|_, breaker| !breaker.is_idle(now));
            if kept.len() >= self.most
                && let Some(oldest) = oldest(kept)
            {
                kept.remove(&oldest);
            }
        }
        kept.entry(key.clone()).or_insert_with(|| Breaker::new(now))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Breaker>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least used, of those closed if there are any.
fn oldest(kept: &HashMap<Key, Breaker>) -> Option<Key> {
    kept.iter().min_by_key(|(_, breaker)| breaker.worth()).map(|(key, _)| key.clone())
}

impl Pass {
    /// What the call said.
    pub fn end(mut self, outcome: &Outcome, now: Instant) {
        self.tell(Verdict::of(outcome), now);
    }

    fn tell(&mut self, verdict: Verdict, now: Instant) {
        let mut kept = self.breakers.kept();
        for (key, generation) in std::mem::take(&mut self.through) {
            let verdict = match (&key, verdict) {
                (Key::Host(_), Verdict::Refused) => Verdict::Alive,
                _ => verdict,
            };
            if let Some(breaker) = kept.get_mut(&key) {
                breaker.note(generation, verdict, now);
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.tell(Verdict::Nothing, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::messaging::channels::{ErrorClass, Failure, Reached};

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_refused_account_stays_shut_until_its_settings_change() {
        let now = Instant::now();
        let breakers = Breakers::new(8);
        let clinic_id = ClinicId::new();
        let account =
            |settings_version| Key::Account { clinic_id, provider: "whatsapp", settings_version };
        let host = Key::Host("graph.example".into());
        let pass = breakers.enter([account(1), host.clone()], now).unwrap();
        let refusal = Failure::answered(ErrorClass::Account, Some("190".into()), Some(401), "no");
        pass.end(&Err(refusal), now);

        let much_later = now + seconds(1_000_000);
        assert_eq!(breakers.peek(&account(1), much_later), Err(Closed::UntilSettingsChange));
        assert_eq!(breakers.peek(&account(2), now), Ok(()));
        assert_eq!(breakers.peek(&host, now), Ok(()), "other clinics go on");
    }

    #[test]
    fn a_probe_that_is_dropped_leaves_room_for_the_next() {
        let now = Instant::now();
        let breakers = Breakers::new(8);
        let key = Key::Host("a".into());
        let down = || Err(Failure::wire(Reached::Nothing, "connect", "down"));
        for _ in 0..5 {
            breakers.enter([key.clone()], now).unwrap().end(&down(), now);
        }
        let later = now + seconds(15);
        let probe = breakers.enter([key.clone()], later).unwrap();
        assert!(breakers.peek(&key, later).is_err());
        drop(probe);

        assert!(breakers.enter([key], later).is_ok());
    }

    #[test]
    fn an_open_one_gives_back_the_probe_of_another() {
        let now = Instant::now();
        let breakers = Breakers::new(8);
        let (a, b) = (Key::Host("a".into()), Key::Host("b".into()));
        let down = || Err(Failure::wire(Reached::Nothing, "connect", "down"));
        for key in [&a, &b] {
            for _ in 0..5 {
                breakers.enter([key.clone()], now).unwrap().end(&down(), now);
            }
        }
        let later = now + seconds(15);
        let held = breakers.enter([b.clone()], later).unwrap();

        assert!(breakers.enter([a.clone(), b], later).is_err());
        assert!(breakers.enter([a], later).is_ok());
        drop(held);
    }

    proptest! {
        #[test]
        fn they_are_so_many_at_most(hosts in prop::collection::vec(0u16..500, 1..300)) {
            let now = Instant::now();
            let breakers = Breakers::new(16);
            for host in hosts {
                let pass = breakers.enter([Key::Host(host.to_string())], now).unwrap();
                pass.end(&Err(Failure::answered(ErrorClass::Recipient, None, Some(400), "x")), now);
                prop_assert!(breakers.kept().len() <= 16);
            }
        }
    }
}
