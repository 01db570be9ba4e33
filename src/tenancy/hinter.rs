//! Hints of this process, sent together: while a statement is on its way, newcomers wait for the next one. So each hint
//! is sent after its caller held the gate, and answered before the caller commits. Central failing stops nobody: the
//! hint is then owed, and made as soon as central answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::wakeups;

/// How long a transaction waits for its hint.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// How long a statement may take before its connection is given up. Longer than anybody waits, so that a slow central
/// gets its hints late rather than never.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Between tries while central does not answer: doubling, at random up to these.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a caller may know when it commits. Either way it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hinted {
    /// The ledger holds the wake-up.
    Made,
    /// Central did not answer in time. This process will make the hint; if it dies before, the next sweep finds the row.
    Owed,
}

/// Sends this process's hints, over one connection of its own. Clones share it; it ends with the last.
#[derive(Clone)]
pub struct Hinter(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Shared {
    hints: Mutex<Hints>,
    asked: Notify,
    settled: Notify,
}

#[derive(Default)]
struct Hints {
    /// For the next statement.
    waiting: BTreeMap<Uuid, Hint>,
    /// In the statement that is on its way. Kept here so that it is counted, and not lost if the statement fails.
    sent: BTreeMap<Uuid, Hint>,
    /// Central is late or failing: newcomers need not wait to hear so.
    late: bool,
}

struct Hint {
    grace: Duration,
    callers: Vec<oneshot::Sender<Hinted>>,
    /// Some caller was told that this hint is owed.
    owed: bool,
}

impl Hinter {
    /// Starts sending. Nothing is connected before the first hint.
    pub fn start(central: PgConnectOptions) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(send(central, shared.clone()));
        Self(Arc::new(Running { shared, task }))
    }

    /// Asks for a hint: that there will be something to do at the clinic, at the latest `grace` from now.
    ///
    /// Call it once the transaction holds the gate; go on with other statements; await it right before the commit.
    /// The hint is asked for by the call itself, not by the first poll.
    pub fn hint(
        &self,
        clinic_id: Uuid,
        grace: Duration,
    ) -> impl Future<Output = Hinted> + Send + use<> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let (caller, answer) = oneshot::channel();
        let shared = self.0.shared.clone();
        shared.hints().ask(clinic_id, grace, caller);
        shared.asked.notify_one();
        async move {
            match timeout_at(deadline, answer).await {
                Ok(Ok(hinted)) => hinted,
                Ok(Err(_)) | Err(_) => {
                    shared.hints().note_owed(clinic_id);
                    Hinted::Owed
                }
            }
        }
    }

    /// How many clinics this process owes a hint. Anything but 0 for long is an alarm.
    pub fn owed(&self) -> usize {
        self.0.shared.hints().owed()
    }

    /// Waits until every hint is made, for a clean stop. How many are still owed: if any, the process must not say
    /// goodbye, so that its death is noticed and the clinics swept.
    pub async fn drain(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        loop {
            let settled = self.0.shared.settled.notified();
            let left = self.0.shared.hints().left();
            if left == 0 || timeout_at(deadline, settled).await.is_err() {
                return left;
            }
        }
    }
}

impl Shared {
    fn hints(&self) -> MutexGuard<'_, Hints> {
        // Each change under the lock is whole: a panic elsewhere leaves nothing half done.
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hints {
    fn ask(&mut self, clinic_id: Uuid, grace: Duration, caller: oneshot::Sender<Hinted>) {
        let late = self.late;
        let hint = self.waiting.entry(clinic_id).or_insert(Hint {
            grace,
            callers: Vec::new(),
            owed: false,
        });
        hint.grace = hint.grace.min(grace);
        hint.callers.push(caller);
        if late {
            hint.tell_owed();
        }
    }

    fn note_owed(&mut self, clinic_id: Uuid) {
        // The caller's own hint is in one of the two, unless it was made just now.
        for hints in [&mut self.waiting, &mut self.sent] {
            if let Some(hint) = hints.get_mut(&clinic_id) {
                hint.owed = true;
            }
        }
    }

    /// What the next statement has to say. From here on it is on its way.
    fn take(&mut self) -> BTreeMap<Uuid, Duration> {
        self.sent = std::mem::take(&mut self.waiting);
        self.sent.iter().map(|(clinic_id, hint)| (*clinic_id, hint.grace)).collect()
    }

    fn made(&mut self) {
        self.late = false;
        for hint in std::mem::take(&mut self.sent).into_values() {
            for caller in hint.callers {
                // One that has gone has rolled back, or was told that the hint is owed. A hint too many does no harm.
                let _ = caller.send(Hinted::Made);
            }
        }
    }

    fn be_late(&mut self) {
        self.late = true;
        self.sent.values_mut().chain(self.waiting.values_mut()).for_each(Hint::tell_owed);
    }

    /// Back to those who wait: the next statement says it again.
    fn failed(&mut self) {
        self.be_late();
        for (clinic_id, hint) in std::mem::take(&mut self.sent) {
            let waiting = self.waiting.entry(clinic_id).or_insert(Hint {
                grace: hint.grace,
                callers: Vec::new(),
                owed: true,
            });
            waiting.grace = waiting.grace.min(hint.grace);
            waiting.owed = true;
        }
    }

    fn owed(&self) -> usize {
        let sent = self.sent.iter().filter(|(_, hint)| hint.owed).count();
        let waiting = self.waiting.iter().filter(|(clinic_id, hint)| {
            hint.owed && !self.sent.get(clinic_id).is_some_and(|sent| sent.owed)
        });
        sent + waiting.count()
    }

    fn left(&self) -> usize {
        let again = self.waiting.keys().filter(|clinic_id| self.sent.contains_key(clinic_id));
        self.sent.len() + self.waiting.len() - again.count()
    }
}

impl Hint {
    fn tell_owed(&mut self) {
        self.owed = true;
        for caller in self.callers.drain(..) {
            let _ = caller.send(Hinted::Owed);
        }
    }
}

async fn send(central: PgConnectOptions, shared: Arc<Shared>) {
    let mut connection = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let graces = shared.hints().take();
        if graces.is_empty() {
            shared.settled.notify_waiters();
            shared.asked.notified().await;
            continue;
        }
        let answer = {
            let statement = timeout(GIVE_UP_AFTER, say(&central, &mut connection, &graces));
            tokio::pin!(statement);
            tokio::select! {
                answer = &mut statement => answer,
                () = sleep(ANSWER_WITHIN) => {
                    shared.hints().be_late();
                    statement.await
                }
            }
        };
        match answer {
            Ok(Ok(())) => {
                shared.hints().made();
                pause = FIRST_PAUSE;
            }
            failed => {
                connection = None; // whatever is still on that wire, nobody waits for it
                shared.hints().failed();
                match failed {
                    Ok(Err(error)) => tracing::warn!(%error, clinics = graces.len(), "hints owed"),
                    _ => tracing::warn!(clinics = graces.len(), "hints owed: no answer in time"),
                }
                sleep(pause.mul_f64(crate::crypto::jitter())).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// One statement. An idle connection may have died unseen, so its failure counts only when a fresh one fails too.
async fn say(
    central: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
    graces: &BTreeMap<Uuid, Duration>,
) -> sqlx::Result<()> {
    if let Some(idle) = connection {
        match wakeups::hint(&mut *idle, graces).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(%error, "the hinter's connection is of no use any more"),
        }
    }
    let fresh = connection.insert(central.connect().await?);
    wakeups::hint(fresh, graces).await
}
