//! Hands over what the clinics' outboxes hold: right after a commit on the fast path, else when the wake-up ledger says
//! that a clinic is due. The order of steps in a look is what keeps messages (docs/architecture.md, the ledger).

mod chores;
mod look;
mod send;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ids::{ClinicId, MessageId};
use crate::outbox::{End, Finished, Handed, OutboxRow, Together, Turns};
use crate::tenancy::hinter::Hinter;
use crate::tenancy::pools::Conn;
use crate::tenancy::wakeups;

/// What the worker needs from the rest of the product: databases, and somebody who delivers.
pub trait Clinics: Send + Sync + 'static {
    fn central(&self) -> impl Future<Output = sqlx::Result<Conn>> + Send;

    fn connection(&self, clinic_id: Uuid)
    -> impl Future<Output = Result<Conn, Unreachable>> + Send;

    /// Hands one message over. No connection is held meanwhile, and the row's lease is kept for as long as it takes.
    fn deliver(&self, clinic_id: Uuid, row: OutboxRow) -> impl Future<Output = Handed> + Send;

    /// Whose turn it is to ask a clinic's database: shared with whoever delivers.
    fn turns(&self) -> &Turns;

    /// A look at this clinic has ended, an hourly sweep's at the least: whatever else a dead process may have left undone there
    /// is done now.
    fn looked_after(&self, clinic_id: Uuid) -> impl Future<Output = ()> + Send {
        let _ = clinic_id;
        async {}
    }
}

/// A clinic's database does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the clinic cannot be reached: {0}")]
pub struct Unreachable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl From<sqlx::Error> for Unreachable {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

/// How much at once, and how long things last. No relation between the durations is needed for safety.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many clinics are looked after at once.
    pub looks: usize,
    /// How many messages of one clinic are under way at once.
    pub sends_per_look: usize,
    /// How many messages are under way at once on the fast path, which is theirs alone.
    pub fast: usize,
    /// How many codes are, which wait behind nothing else. What they may ask of providers is bounded there.
    pub codes: usize,
    /// Head start of the fast path, and the pause between looks while somebody is inside the gate.
    pub grace: Duration,
    pub clinic_lease: Duration,
    pub row_lease: Duration,
    /// On the fast path, where codes go: a dead sender costs no more than this.
    pub fast_row_lease: Duration,
    pub poll: Duration,
    /// A look ends after so long, or so many rows: then it is another clinic's turn.
    pub look_lasts: Duration,
    pub look_rows: usize,
    /// How long a database may take for one step.
    pub patience: Duration,
    /// How long a stop waits for sends to end, and again for hints that are owed.
    pub stop_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            looks: 16,
            sends_per_look: 32,
            fast: 32,
            codes: 256,
            grace: Duration::from_secs(3),
            clinic_lease: Duration::from_secs(30),
            row_lease: Duration::from_secs(60),
            fast_row_lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            look_lasts: Duration::from_secs(5),
            look_rows: 256,
            patience: Duration::from_secs(5),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// The fast path's bell: who commits a message rings it. It is made before the worker, for the clinics' handles ring it and
/// the worker needs the clinics.
#[derive(Clone, Default)]
pub struct FastPath(Arc<OnceLock<Bell>>);

type Bell = Box<dyn Fn(ClinicId, MessageId, bool) + Send + Sync>;

impl FastPath {
    /// This message was committed just now. Without a worker (on the command line) nothing happens: the look that was
    /// hinted finds it.
    pub fn wake(&self, clinic_id: ClinicId, message_id: MessageId, is_code: bool) {
        if let Some(wake) = self.0.get() {
            wake(clinic_id, message_id, is_code);
        }
    }

    /// From now on this worker answers the bell.
    pub fn answered_by<C: Clinics>(&self, worker: &Worker<C>) {
        // Weakly: the worker holds the clinics, and the clinics hold the bell.
        let worker = Arc::downgrade(&worker.0);
        let _ = self.0.set(Box::new(move |clinic_id, message_id, is_code| {
            if let Some(worker) = worker.upgrade() {
                worker.wake(clinic_id.0, message_id.0, is_code);
            }
        }));
    }
}

/// One process's worker. Clones are the same worker.
pub struct Worker<C>(Arc<Inner<C>>);

impl<C> Clone for Worker<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<C> {
    clinics: C,
    hinter: Hinter,
    settings: Settings,
    instance_id: Uuid,
    stop: CancellationToken,
    looks: Arc<Semaphore>,
    sends: Arc<Semaphore>,
    fast: Arc<Semaphore>,
    codes: Arc<Semaphore>,
    turns: Turns,
    /// Outcomes that are about to be recorded.
    ends: Together<End, Option<Finished>>,
    /// Rung when a slot becomes free that somebody may be waiting for: no need to wait for the next poll.
    again: Notify,
    missed: AtomicU64,
}

impl<C: Clinics> Worker<C> {
    /// Does nothing yet but on the fast path; `run` looks after the clinics.
    pub fn new(clinics: C, hinter: Hinter, settings: Settings, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            looks: Arc::new(Semaphore::new(settings.looks)),
            sends: Arc::new(Semaphore::new(settings.looks * settings.sends_per_look)),
            fast: Arc::new(Semaphore::new(settings.fast)),
            codes: Arc::new(Semaphore::new(settings.codes)),
            instance_id: crate::ids::new_uuid(),
            ends: Together::new(clinics.turns().clone()),
            turns: clinics.turns().clone(),
            again: Notify::new(),
            missed: AtomicU64::new(0),
            clinics,
            hinter,
            settings,
            stop,
        }))
    }

    /// The fast path: claims this row at once and hands it over. Call it right after the commit. It never writes the
    /// ledger, and may fail or be too busy: then the row goes out with the look that was hinted.
    pub fn wake(&self, clinic_id: Uuid, message_id: Uuid) {
        self.0.clone().wake(clinic_id, message_id, false);
    }

    /// Messages that only a sweep found, more than two minutes late. Anything but 0 is an alarm.
    pub fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }

    /// Looks after the clinics until `stop` is cancelled; then lets what is under way end, makes the hints that are
    /// owed, and says goodbye. Stop taking requests first: a request may still hint.
    pub async fn run(&self) {
        let worker = &self.0;
        tokio::join!(worker.poll(), worker.stay_signed_in(), worker.keep_the_ledger_whole());
        worker.leave().await;
    }
}

impl<C: Clinics> Inner<C> {
    /// Leases clinics that are due, as many as there are slots for, and looks after each.
    async fn poll(self: &Arc<Self>) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.start_looks().await {
                tracing::warn!(%error, "the ledger does not answer");
            }
            // At most the whole interval: it is a bound on how late a message may be.
            let pause = self.settings.poll.mul_f64(0.7 + 0.3 * crate::crypto::jitter());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.again.notified() => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn start_looks(self: &Arc<Self>) -> sqlx::Result<()> {
        let free = self.looks.available_permits().min(self.sends.available_permits());
        if free == 0 {
            return Ok(());
        }
        let leases = self
            .centrally(async |central: &mut Conn| {
                let lasts = self.settings.clinic_lease;
                wakeups::lease(central, free as i64, lasts, self.instance_id).await
            })
            .await?;
        let all_taken = leases.len() == free;
        for lease in leases {
            let slot = self.looks.clone().try_acquire_owned().expect("only this loop takes slots");
            let worker = self.clone();
            tokio::spawn(async move {
                let more = worker.look(lease).await;
                drop(slot);
                if more || all_taken {
                    worker.again.notify_one();
                }
            });
        }
        Ok(())
    }

    /// Some statements on the central database, within our patience.
    async fn centrally<T>(
        &self,
        statements: impl AsyncFnOnce(&mut Conn) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let answer = timeout(self.settings.patience, async {
            let mut central = self.clinics.central().await?;
            // Each statement writes, and is a transaction of its own.
            statements(central.never_repeat()).await
        });
        answer.await.unwrap_or_else(|_| Err(out_of_patience()))
    }

    /// Some statements on a clinic's database, within our patience.
    async fn at_clinic<T>(
        &self,
        clinic_id: Uuid,
        statements: impl AsyncFnOnce(&mut Conn) -> sqlx::Result<T>,
    ) -> Result<T, Unreachable> {
        let answer = timeout(self.settings.patience, async {
            let mut clinic = self.clinics.connection(clinic_id).await?;
            Ok(statements(clinic.never_repeat()).await?)
        });
        answer.await.unwrap_or_else(|_| Err(out_of_patience().into()))
    }
}

fn out_of_patience() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
