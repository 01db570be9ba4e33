//! When to seal: a while after rows were written here, once for all that came meanwhile. Nothing is polled, so the cost grows
//! with clinics that write. What a dead process left unsealed is found by the worker's sweep (`worker/look.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::link::ChainKey;
use super::seal::seal;
use super::store::{self, Head};
use crate::crypto::ClinicKeys;
use crate::tenancy::pools::{AcquireError, Conn, Pool};

/// From a row's commit to its link. Older transactions that still run are asked after as often.
const PAUSE: Duration = Duration::from_secs(2);
/// After trouble the pause doubles, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// While the process ends, which has its own limit.
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// Then it is left to the sweep.
const TRIES: u32 = 8;
/// How many logs are sealed at once by a process.
const AT_ONCE: usize = 4;

/// What all chains of a process share.
pub struct Sealer {
    central: Pool,
    slots: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sealer {
    pub fn new(central: Pool) -> Arc<Self> {
        Arc::new(Self {
            central,
            slots: Semaphore::new(AT_ONCE),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Seals at once what was to be sealed soon, and waits for it. What cannot be sealed in time is left to a sweep.
    pub async fn drain(&self, limit: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                logs = self.tasks.len(),
                "stopped with rows unsealed: a sweep finds them"
            );
        }
    }
}

/// Why a run of the sealer ended early. What it sealed before stays.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// One log's chain, with the way to its database.
pub struct Chain {
    realm: Uuid,
    key: ChainKey,
    pool: Pool,
    sealer: Arc<Sealer>,
    /// A task is on its way that will see whatever is committed now.
    rung: AtomicBool,
    /// The link that this process last knew central to know.
    told: AtomicI64,
}

impl Chain {
    pub fn new(realm: Uuid, keys: &ClinicKeys, pool: Pool, sealer: Arc<Sealer>) -> Arc<Self> {
        let key = ChainKey::of(keys);
        let (rung, told) = (AtomicBool::new(false), AtomicI64::new(0));
        Arc::new(Self { realm, key, pool, sealer, rung, told })
    }

    /// Rows were committed just now: they are sealed soon. Costs the caller nothing.
    pub fn ring(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.sealer.tasks.spawn_on(self.clone().seal_soon(), &runtime);
        }
    }

    async fn seal_soon(self: Arc<Self>) {
        let (mut pause, mut failures) = (PAUSE, 0);
        while failures < TRIES {
            match self.sealer.stop.is_cancelled() {
                true => sleep(LAST_PAUSE).await,
                false => tokio::select! {
                    () = sleep(pause) => {}
                    () = self.sealer.stop.cancelled() => {}
                },
            }
            // Before the run, so that whoever commits during it rings anew.
            self.rung.store(false, Ordering::Release);
            pause = match self.seal().await {
                Ok(false) => return,
                Ok(true) => PAUSE,
                Err(error) => {
                    tracing::warn!(realm = %self.realm, %error, "could not seal the audit log");
                    failures += 1;
                    (pause * 2).min(LONGEST_PAUSE)
                }
            };
            if self.rung.swap(true, Ordering::AcqRel) {
                return; // whoever rang meanwhile has a task of his own
            }
        }
        self.rung.store(false, Ordering::Release);
    }

    /// Seals what can be sealed now, and tells central. True: more was committed that has to wait for an older transaction.
    ///
    /// # Errors
    /// Either database's.
    pub async fn seal(&self) -> Result<bool, SealError> {
        let _slot = self.sealer.slots.acquire().await.expect("never closed");
        let mut conn = self.connection().await?;
        let sealed = seal(&mut conn, &self.key).await?;
        drop(conn); // nobody waits for one connection while holding another
        if let Some(to) = sealed.to
            && to.n > self.told.load(Ordering::Acquire)
        {
            self.tell(sealed.from, &to).await?;
            self.told.fetch_max(to.n, Ordering::AcqRel);
        }
        Ok(sealed.waiting)
    }

    /// A connection to the log's database, also after the handle that this chain belongs to has left service.
    pub(super) async fn connection(&self) -> Result<Conn, AcquireError> {
        match self.pool.acquire().await {
            Err(AcquireError::Closed) => self.pool.afterwards().acquire().await,
            other => other,
        }
    }

    /// Tells central of the newest link, but never lets it forget an older one that is no longer in the chain: that is how a log
    /// shows that lost its end, however much was added since.
    async fn tell(&self, from: Option<Head>, to: &Head) -> Result<(), SealError> {
        let mut from = from.map(|head| (head.n, head.hash));
        loop {
            let known = {
                let mut central = self.sealer.central.acquire().await?;
                let from = from.as_ref().map(|(n, hash)| (*n, hash.as_slice()));
                if store::move_head(&mut central, self.realm, from, (to.n, &to.hash)).await? {
                    return Ok(());
                }
                store::known_head(&mut central, self.realm).await?
            };
            let Some((n, hash)) = known else { continue }; // forgotten between the two: make it anew
            let mut conn = self.connection().await?;
            let ours = store::link(&mut conn, n).await?;
            drop(conn);
            if ours.as_deref() != Some(&hash) {
                tracing::error!(
                    realm = %self.realm, link = n,
                    "ALARM: a link of the audit log that central knows is not in it: run `nadi doctor`"
                );
                crate::metrics::ALARMS.with_label_values(&["audit_chain"]).inc();
                return Ok(());
            }
            if n >= to.n {
                return Ok(()); // another instance was faster
            }
            from = Some((n, hash));
        }
    }
}
