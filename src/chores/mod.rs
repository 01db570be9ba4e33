//! Chores: timed jobs of a clinic, such as marking who did not come. A chore is a row of the outbox that is for nobody: put,
//! moved and withdrawn in the transaction of what it is about, found by the wake-up ledger as messages are, and done by the
//! slice that owns its name. It may be done twice; so a job looks first whether there is still something to do.

mod rounds;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::db::Tx;
use crate::error::Problem;
use crate::ids::MessageId;
use crate::metrics;
use crate::outbox::{self, Delivery, NewMessage, OutboxRow};
use crate::tenancy::Clinic;

pub use rounds::Rounds;

/// What the purpose of a chore's row begins with.
pub const PREFIX: &str = "chore.";

/// How long after its time a chore is still worth doing: a clinic may have been suspended meanwhile.
pub const LIFETIME: TimeDelta = TimeDelta::days(90);

/// Between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Then it is given up: some ten hours after the first.
const MOST_TRIES: u32 = 20;
/// A job that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something to be done at a time.
#[derive(Clone, Debug)]
pub struct NewChore {
    /// Whose it is: `no_show`.
    pub name: &'static str,
    /// What it is about. It is withdrawn with it, by `outbox::withdraw`.
    pub subject_id: Uuid,
    /// Tells two chores of one name and subject apart: a version, say.
    pub key: String,
    pub due_at: DateTime<Utc>,
}

/// Puts a chore, in the transaction of what it is about, which is one opened for telling. Putting it again changes nothing.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, chore: &NewChore) -> sqlx::Result<()> {
    let purpose = format!("{PREFIX}{}", chore.name);
    let row = NewMessage {
        dedupe_key: format!("{purpose}:{}:{}", chore.subject_id, chore.key),
        purpose,
        subject_id: chore.subject_id,
        patient_id: None,
        user_id: None,
        payload_cipher: None,
        channels: Vec::new(),
        due_at: chore.due_at,
        expires_at: chore.due_at.max(tx.now()) + LIFETIME,
    };
    if let Some(id) = outbox::put(&mut **tx, &row).await? {
        tx.note_message(MessageId(id)); // done at once if it is due already
    }
    Ok(())
}

/// A chore whose time has come.
#[derive(Clone, Debug)]
pub struct Chore {
    pub subject_id: Uuid,
    pub due_at: DateTime<Utc>,
}

/// What came of a chore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// There was nothing to do any more: why.
    Needless(&'static str),
}

/// Does one kind of chore, in a transaction of its own.
pub type Job = fn(Arc<Clinic>, Chore) -> BoxFuture<'static, Result<Outcome, Problem>>;

/// Who does what. The app's wiring lists it.
#[derive(Clone, Default)]
pub struct Chores(Vec<(&'static str, Job)>);

impl Chores {
    /// Gives the chores of a name to the slice that does them.
    #[must_use]
    pub fn with(mut self, name: &'static str, job: Job) -> Self {
        self.0.push((name, job));
        self
    }

    /// Does the chore of a row, and says what becomes of the row.
    pub async fn run(&self, clinic: Arc<Clinic>, row: &OutboxRow) -> Delivery {
        let name = row.purpose.strip_prefix(PREFIX).unwrap_or_default();
        let Some((name, job)) = self.0.iter().find(|(known, _)| *known == name) else {
            // A newer binary put it, or an older one did: an instance that knows it may be next.
            return failed(&clinic, "unknown", row, "nobody here does such chores");
        };
        let chore = Chore { subject_id: row.subject_id, due_at: row.due_at };
        let outcome = tokio::time::timeout(PATIENCE, job(clinic.clone(), chore)).await;
        let count = |word| metrics::CHORES.with_label_values(&[*name, word]).inc();
        match outcome {
            Ok(Ok(Outcome::Done)) => {
                count("done");
                Delivery::Done
            }
            Ok(Ok(Outcome::Needless(why))) => {
                count("needless");
                Delivery::Needless { why: why.to_owned() }
            }
            Ok(Err(problem)) => failed(&clinic, name, row, &problem.to_string()),
            Err(_) => failed(&clinic, name, row, "it took too long"),
        }
    }
}

/// Tried again after a pause that doubles, and in the end given up with an alarm.
fn failed(clinic: &Clinic, name: &'static str, row: &OutboxRow, error: &str) -> Delivery {
    let tries = tries(row);
    let error = error.to_owned();
    if tries < MOST_TRIES {
        tracing::warn!(clinic = %clinic.slug, chore = name, tries, error, "a chore could not be done");
        metrics::CHORES.with_label_values(&[name, "retry"]).inc();
        return Delivery::RetryIn { delay: pause(tries), error };
    }
    tracing::error!(clinic = %clinic.slug, chore = name, subject = %row.subject_id, error, "gave a chore up");
    metrics::CHORES.with_label_values(&[name, "given_up"]).inc();
    metrics::ALARMS.with_label_values(&["chore_given_up"]).inc();
    Delivery::Failed { error }
}

/// A row's token goes up when it is claimed and when it is put back, so a try costs two.
fn tries(row: &OutboxRow) -> u32 {
    u32::try_from((row.lease_token + 1) / 2).unwrap_or(u32::MAX)
}

fn pause(tries: u32) -> Duration {
    let doubled = Duration::from_secs(1 << tries.min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + crate::crypto::jitter() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        for (tries, from, to) in [(1, 1.0, 2.0), (4, 8.0, 16.0), (12, 1800.0, 3600.0)] {
            let pause = pause(tries).as_secs_f64();
            assert!((from..=to).contains(&pause), "{tries}: {pause}");
        }
        assert!(pause(u32::MAX) <= LONGEST_PAUSE);
    }
}
