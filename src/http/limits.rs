//! Rate limits: how a refusal tells them, and those that are kept in memory, for each instance: calls of an account,
//! refreshes of a session, and what comes from an address without anybody's token.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::future::Cache;
use poem::http::{HeaderName, StatusCode};
use uuid::Uuid;

use crate::error::Problem;
use crate::ids::{AccountId, SessionId};

/// A limit as its headers name it (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub name: &'static str,
    pub quota: u32,
    pub window: Duration,
}

impl Limit {
    pub const fn new(name: &'static str, quota: u32, window_seconds: u64) -> Self {
        Self { name, quota, window: Duration::from_secs(window_seconds) }
    }

    /// `429 rate-limited`: nothing is left, and more there is in so many seconds.
    pub fn refuse(&self, wait_seconds: f64, detail: &'static str) -> Problem {
        let wait = wait_seconds.ceil().max(1.0) as u64;
        let Self { name, quota, window } = self;
        let policy = format!("\"{name}\";q={quota};w={}", window.as_secs());
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail)
            .retry_after(wait)
            .header(HeaderName::from_static("ratelimit-policy"), &policy)
            .header(HeaderName::from_static("ratelimit"), &format!("\"{name}\";r=0;t={wait}"))
    }
}

/// 100 calls a second, and a thousand at once: the quota of a full bucket, and how long it takes to fill.
const CALLS: Limit = Limit::new("calls", 1000, 10);
/// 50 a second, and 500 at once.
const STRANGERS: Limit = Limit::new("address", 500, 10);
const REFRESHES: Limit = Limit::new("refresh", 60, 60);

/// At most so many of a kind are remembered; a bucket that nobody drew from for a minute is full, and forgotten.
const REMEMBERED: u64 = 100_000;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The limits of one instance.
pub struct Limits {
    began: Instant,
    accounts: Cache<(Uuid, AccountId), Arc<Bucket>>,
    addresses: Cache<IpAddr, Arc<Bucket>>,
    sessions: Cache<SessionId, Arc<Mutex<Window>>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            accounts: remembered(),
            addresses: remembered(),
            sessions: remembered(),
        }
    }
}

fn remembered<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>()
-> Cache<K, V> {
    Cache::builder().max_capacity(REMEMBERED).time_to_idle(FORGOTTEN_AFTER).build()
}

impl Limits {
    /// One call of somebody signed in to a realm.
    ///
    /// # Errors
    /// `429`
    pub async fn call(&self, realm: Uuid, account: AccountId) -> Result<(), Problem> {
        let bucket = self.accounts.get_with((realm, account), async { Arc::default() }).await;
        bucket
            .take(&CALLS, self.began.elapsed())
            .map_err(|wait| CALLS.refuse(wait, "too many calls of this account; slow down"))
    }

    /// One request of nobody who is signed in.
    ///
    /// # Errors
    /// `429`
    pub async fn stranger(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(network) = address.and_then(network) else { return Ok(()) };
        let bucket = self.addresses.get_with(network, async { Arc::default() }).await;
        bucket.take(&STRANGERS, self.began.elapsed()).map_err(|wait| {
            STRANGERS.refuse(wait, "too many requests from this address; slow down")
        })
    }

    /// One refresh of a session.
    ///
    /// # Errors
    /// `429`
    pub async fn refresh(&self, session: SessionId) -> Result<(), Problem> {
        let window = self.sessions.get_with(session, async { Arc::default() }).await;
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        window.take(&REFRESHES, self.began.elapsed()).map_err(|wait| {
            REFRESHES
                .refuse(wait, "too many refreshes of this session; use the access token you have")
        })
    }
}

/// Whom an address stands for: itself in IPv4, its /64 in IPv6. Nobody for loopback: that is this machine, or a proxy on it
/// that `NADI_TRUSTED_PROXIES` does not name, and then it would be everybody.
pub fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

/// A token bucket in one number: the instant at which it will be full again (GCRA).
#[derive(Default)]
struct Bucket {
    full_at_nanos: AtomicU64,
}

impl Bucket {
    /// Takes one, or says how many seconds until there is one.
    fn take(&self, limit: &Limit, now: Duration) -> Result<(), f64> {
        let now = now.as_nanos() as u64;
        let window = limit.window.as_nanos() as u64;
        let one = window / u64::from(limit.quota);
        let after = |full_at: u64| full_at.max(now) + one;
        self.full_at_nanos
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                (after(full_at) <= now + window).then(|| after(full_at))
            })
            .map(drop)
            .map_err(|full_at| (after(full_at) - now - window) as f64 / 1e9)
    }
}

/// So many in a window that begins with the first.
#[derive(Default)]
struct Window {
    began: Duration,
    taken: u32,
}

impl Window {
    fn take(&mut self, limit: &Limit, now: Duration) -> Result<(), f64> {
        if self.taken == 0 || now >= self.began + limit.window {
            *self = Self { began: now, taken: 0 };
        }
        if self.taken == limit.quota {
            return Err((self.began + limit.window - now).as_secs_f64());
        }
        self.taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_thousand_at_once_and_then_a_hundred_a_second() {
        let bucket = Bucket::default();
        let now = Duration::from_secs(5);
        for _ in 0..1000 {
            bucket.take(&CALLS, now).unwrap();
        }

        let wait = bucket.take(&CALLS, now).unwrap_err();

        assert!((0.009..0.011).contains(&wait), "{wait}");
        let later = now + Duration::from_secs(1);
        assert_eq!((0..500).filter(|_| bucket.take(&CALLS, later).is_ok()).count(), 100);
        let much_later = later + Duration::from_secs(1000);
        assert_eq!((0..5000).filter(|_| bucket.take(&CALLS, much_later).is_ok()).count(), 1000);
    }

    #[test]
    fn a_window_gives_its_quota_once() {
        let mut window = Window::default();
        let at = Duration::from_secs;
        assert_eq!((0..99).filter(|_| window.take(&REFRESHES, at(7)).is_ok()).count(), 60);

        let wait = window.take(&REFRESHES, at(57)).unwrap_err();

        assert!((9.9..10.1).contains(&wait), "{wait}");
        assert!(window.take(&REFRESHES, at(67)).is_ok());
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_eq!(network("127.0.0.1"), None);
        assert_eq!(network("::1"), None);
    }

    #[test]
    fn a_refusal_says_when_and_how_many() {
        let headers = Limit::new("login", 10, 900).refuse(59.2, "wait").render("x");
        let header = |name: &str| headers.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("retry-after"), "60");
        assert_eq!(header("ratelimit-policy"), "\"login\";q=10;w=900");
        assert_eq!(header("ratelimit"), "\"login\";r=0;t=60");
    }
}
