//! Notices between instances, through the central database. They carry a clinic or a realm, never a secret, and only ever
//! say "look again": who misses one looks again by himself within a second (`freshness.rs`).
//!
//! What changes in the central database is announced in the change's own transaction; what changes in a clinic's is told
//! right after its commit, over the line on which this process listens (`line.rs`).

mod bells;
mod line;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgExecutor;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

pub use self::bells::Bell;
use self::bells::Bells;
use super::freshness::Freshness;

const CHANNEL: &str = "nadi";
/// How long one who tells waits until it is said. It will be, whether he waits or not.
const SAID_WITHIN: Duration = Duration::from_millis(300);

/// Something that others have cached is no longer so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A clinic was made, suspended, moved, migrated: by slug.
    Clinic(String),
    /// A session of a realm ended, or an account changed its role or status.
    Sessions(Uuid),
    /// A realm has news for those who watch it; and which instance says so.
    News { realm: Uuid, by: Uuid },
}

impl Notice {
    /// To all instances, in the transaction of the change itself: it is heard when that commits, and only then.
    pub async fn announce(&self, central: impl PgExecutor<'_>) -> sqlx::Result<()> {
        sqlx::query("select pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(self.payload())
            .execute(central)
            .await
            .map(drop)
    }

    fn payload(&self) -> String {
        match self {
            Notice::Clinic(slug) => format!("clinic {slug}"),
            Notice::Sessions(realm) => format!("sessions {realm}"),
            Notice::News { realm, by } => format!("news {realm} {by}"),
        }
    }

    fn parse(payload: &str) -> Option<Self> {
        match payload.split_once(' ')? {
            ("clinic", slug) => Some(Notice::Clinic(slug.to_owned())),
            ("sessions", realm) => Some(Notice::Sessions(realm.parse().ok()?)),
            ("news", rest) => {
                let (realm, by) = rest.split_once(' ')?;
                Some(Notice::News { realm: realm.parse().ok()?, by: by.parse().ok()? })
            }
            _ => None,
        }
    }

    fn apply(&self, freshness: &Freshness) {
        match self {
            Notice::Clinic(slug) => freshness.changed(("clinic", slug.as_str())),
            Notice::Sessions(realm) => freshness.changed(("sessions", *realm)),
            Notice::News { realm, .. } => freshness.changed(("news", *realm)),
        }
    }
}

/// Tells this instance and the others. Clones share one line.
#[derive(Clone)]
pub struct Notices {
    freshness: Arc<Freshness>,
    outgoing: Arc<Outgoing>,
    bells: Arc<Bells>,
    /// Tells our own notices from others'.
    instance: Uuid,
}

impl Notices {
    pub fn new(freshness: Arc<Freshness>) -> Self {
        let instance = crate::ids::new_uuid();
        Self { freshness, outgoing: Arc::default(), bells: Arc::default(), instance }
    }

    pub fn freshness(&self) -> &Arc<Freshness> {
        &self.freshness
    }

    /// What is rung when a realm has news.
    pub fn bell(&self, realm: Uuid) -> Bell {
        Bell::new(self.clone(), realm)
    }

    /// A notice has come over the line.
    fn hear(&self, notice: &Notice) {
        match notice {
            Notice::News { by, .. } if *by == self.instance => {} // it was rung here when it happened
            Notice::News { realm, .. } => {
                notice.apply(&self.freshness);
                self.bells.ring(*realm);
            }
            Notice::Clinic(_) | Notice::Sessions(_) => notice.apply(&self.freshness),
        }
    }

    /// What was announced has committed: it holds here at once, without waiting for our own notice to come back.
    pub fn apply(&self, notice: &Notice) {
        notice.apply(&self.freshness);
    }

    /// Holds here at once, elsewhere within a second. Needs [`Notices::listen`] to run. While the line is down the notice
    /// is kept: those who can be told are told as soon as it is up, the others are deaf as well and look by themselves.
    pub async fn tell(&self, notice: Notice) {
        notice.apply(&self.freshness);
        let said = self.outgoing.put(notice); // from here on it is on its way, whatever becomes of the caller
        let _late = timeout(SAID_WITHIN, said).await;
    }
}

/// What is still to be said, each thing once however many ask for it.
#[derive(Default)]
struct Outgoing {
    waiting: Mutex<Waiting>,
    asked: Notify,
    /// News wait, which are not said one by one.
    rung: Notify,
    /// Every batch below this number has been said.
    said: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    notices: HashSet<Notice>,
    /// The number of the batch that these will be said in.
    batch: u64,
}

impl Outgoing {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, notice: Notice) -> impl Future<Output = ()> + use<> {
        let mut said = self.said.subscribe();
        let mut waiting = self.waiting();
        waiting.notices.insert(notice);
        let batch = waiting.batch;
        drop(waiting);
        self.asked.notify_one();
        async move {
            let _ = said.wait_for(|below| *below > batch).await;
        }
    }

    /// Puts a notice that may wait a little for others.
    fn put_by(&self, notice: Notice) {
        self.waiting().notices.insert(notice);
        self.rung.notify_one();
    }

    fn take(&self) -> Batch<'_> {
        let mut waiting = self.waiting();
        let notices = std::mem::take(&mut waiting.notices);
        waiting.batch += 1;
        Batch { outgoing: self, notices, below: waiting.batch }
    }
}

/// What is being said just now. Dropped before it was said, it waits again, and goes out with the next batch.
struct Batch<'o> {
    outgoing: &'o Outgoing,
    notices: HashSet<Notice>,
    below: u64,
}

impl Batch<'_> {
    fn payloads(&self) -> Vec<String> {
        self.notices.iter().map(Notice::payload).collect()
    }

    fn said(mut self) {
        self.notices.clear();
        self.outgoing.said.send_replace(self.below);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.outgoing.waiting().notices.extend(self.notices.drain());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_many_tell_is_said_once_and_what_failed_is_said_with_the_next() {
        let outgoing = Outgoing::default();
        let realm = Uuid::from_u128(7);
        let told: Vec<_> = (0..3).map(|_| outgoing.put(Notice::Sessions(realm))).collect();

        drop(outgoing.take()); // the line broke
        let later = outgoing.put(Notice::Clinic("shanti".into()));
        let batch = outgoing.take();
        let mut payloads = batch.payloads();
        payloads.sort();
        assert_eq!(payloads, ["clinic shanti".to_owned(), format!("sessions {realm}")]);
        batch.said();

        futures_util::future::join_all(told).await;
        later.await;
        assert!(outgoing.take().payloads().is_empty());
    }

    #[test]
    fn a_notice_is_heard_as_it_was_said() {
        let (realm, by) = (Uuid::from_u128(7), Uuid::from_u128(8));
        for notice in
            [Notice::Clinic("shanti".into()), Notice::Sessions(realm), Notice::News { realm, by }]
        {
            assert_eq!(Notice::parse(&notice.payload()), Some(notice));
        }
    }
}
