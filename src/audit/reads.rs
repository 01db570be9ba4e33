//! Who read what of whom. A read's row waits in this process for about half a second and is written with others, so that a
//! warm read still costs its own round trip alone. Where too many wait, the reader's own request writes its row before its
//! answer: nothing is shown that could not be noted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Actor, store};
use crate::error::Problem;
use crate::tenancy::Realm;

/// How long a row may wait for others, unless so many come that it need not.
const PAUSE: Duration = Duration::from_millis(500);
const ENOUGH: usize = MOST_OF_ONE / 2;
/// After trouble the pause doubles, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Rows in one statement.
const BATCH: usize = 250;
/// Rows that may wait: of one clinic, and of all.
const MOST_OF_ONE: usize = 1_000;
const MOST: usize = 10_000;
/// Clinics whose rows are written at once: those who wait for an answer need connections more.
const AT_ONCE: usize = 4;
/// Ids in one row: those of a longer list go on in the next.
const MOST_IDS: usize = 200;

/// What somebody was shown.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In the singular, as in the rows of changes: `patient`.
    pub(super) entity: &'static str,
    pub(super) entity_id: Option<Uuid>,
    /// The patient whom it concerns (on the platform: the clinic).
    pub about_id: Option<Uuid>,
    /// Of a list: how many, and which.
    listed: Option<(usize, Vec<Uuid>)>,
}

impl Seen {
    pub fn one(entity: &'static str, id: impl Into<Uuid>) -> Self {
        let entity_id = Some(id.into());
        Self { entity, entity_id, about_id: None, listed: None }
    }

    /// A list: all that was on it is named.
    pub fn list<T>(
        entity: &'static str,
        items: impl IntoIterator<Item = T>,
        id: impl Fn(&T) -> Uuid,
    ) -> Self {
        let ids: Vec<Uuid> = items.into_iter().map(|item| id(&item)).collect();
        Self { entity, entity_id: None, about_id: None, listed: Some((ids.len(), ids)) }
    }

    /// A page of what has no ids of its own.
    pub fn pages(entity: &'static str, count: usize) -> Self {
        Self { entity, entity_id: None, about_id: None, listed: Some((count, Vec::new())) }
    }

    /// The patient whom it concerns (on the platform: the clinic).
    pub fn about(mut self, id: impl Into<Uuid>) -> Self {
        self.about_id = Some(id.into());
        self
    }

    /// One for each row: of a long list each names its part.
    fn rows(self) -> Vec<Self> {
        match &self.listed {
            Some((_, ids)) if ids.len() > MOST_IDS => ids
                .chunks(MOST_IDS)
                .map(|part| Self { listed: Some((part.len(), part.to_vec())), ..self.clone() })
                .collect(),
            _ => vec![self],
        }
    }

    pub(super) fn action(&self) -> String {
        let verb = if self.listed.is_some() { "listed" } else { "read" };
        format!("{}.{verb}", self.entity)
    }

    pub(super) fn details(&self) -> Value {
        match &self.listed {
            Some((count, ids)) => json!({ "count": count, "ids": ids }),
            None => json!({}),
        }
    }
}

/// A read on its way into the log.
pub struct ReadRow {
    pub(super) at: DateTime<Utc>,
    pub(super) actor: Actor,
    pub(super) seen: Seen,
}

/// Where a caller's reads are noted: whose log, and who writes it.
#[derive(Clone)]
pub struct Trail {
    pub realm: Arc<Realm>,
    pub reads: Arc<Reads>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("realm", &self.realm.id).finish_non_exhaustive()
    }
}

impl Trail {
    /// Notes that somebody is about to be shown something.
    ///
    /// # Errors
    /// When too many reads wait, and this one cannot be written at once: then it must not be shown.
    pub async fn note(&self, actor: Actor, seen: Seen) -> Result<(), Problem> {
        let at = self.realm.clock.now();
        let rows = seen.rows().into_iter().map(|seen| ReadRow { at, actor: actor.clone(), seen });
        let left: Vec<ReadRow> = rows.filter_map(|row| self.reads.put(&self.realm, row)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut conn = self.realm.read().await?;
        store::insert_reads(&mut conn, &left).await?;
        self.realm.chain.ring();
        Ok(())
    }
}

/// The reads of one process that are not written yet.
pub struct Reads {
    shelves: Mutex<Shelves>,
    slots: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            shelves: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }
}

#[derive(Default)]
struct Shelves {
    of: HashMap<Uuid, Shelf>,
    /// On all shelves, and in the hands of those who write.
    waiting: usize,
}

/// One clinic's rows.
#[derive(Default)]
struct Shelf {
    rows: Vec<ReadRow>,
    /// Rung when there are enough to be written at once.
    enough: Arc<Notify>,
}

impl Reads {
    /// Rows that wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Takes a row in, or gives it back: no room, or this process is about to end.
    fn put(self: &Arc<Self>, realm: &Arc<Realm>, row: ReadRow) -> Option<ReadRow> {
        let mut shelves = self.lock();
        let of_one = shelves.of.get(&realm.id).map_or(0, |shelf| shelf.rows.len());
        if of_one >= MOST_OF_ONE || shelves.waiting >= MOST || self.stop.is_cancelled() {
            return Some(row);
        }
        shelves.waiting += 1;
        let is_first = !shelves.of.contains_key(&realm.id);
        let shelf = shelves.of.entry(realm.id).or_default();
        shelf.rows.push(row);
        if shelf.rows.len() == ENOUGH {
            shelf.enough.notify_one();
        }
        if is_first {
            let enough = shelf.enough.clone();
            // Spawned under the lock: `drain`, which takes it too, cannot miss this task.
            self.tasks.spawn(self.clone().write_out(realm.clone(), enough));
        }
        None
    }

    /// Writes a clinic's rows until none is left; the shelf stands as long as this task does.
    async fn write_out(self: Arc<Self>, realm: Arc<Realm>, enough: Arc<Notify>) {
        let mut pause = PAUSE;
        loop {
            if self.stop.is_cancelled() && pause > PAUSE {
                sleep(PAUSE).await; // not a flood of tries while the process ends
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = enough.notified(), if pause == PAUSE => {}
                () = self.stop.cancelled() => {}
            }
            let _slot = self.slots.acquire().await.expect("never closed");
            // Then only full lots: at a thousand reads a second those that come during a write would go one by one.
            let mut least = 1;
            while let Some(batch) = self.take(realm.id, least) {
                least = BATCH;
                match write(&realm, &batch).await {
                    Ok(()) => {
                        self.lock().waiting -= batch.len();
                        pause = PAUSE;
                        realm.chain.ring();
                    }
                    Err(error) => {
                        tracing::warn!(realm = %realm.id, %error, rows = batch.len(), "reads could not be noted yet");
                        self.put_back(realm.id, batch);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        break;
                    }
                }
            }
            if self.is_done(realm.id) {
                return;
            }
        }
    }

    /// The next rows to write, oldest first, if there are at least so many.
    fn take(&self, realm: Uuid, least: usize) -> Option<Vec<ReadRow>> {
        let mut shelves = self.lock();
        let rows = &mut shelves.of.get_mut(&realm).filter(|shelf| shelf.rows.len() >= least)?.rows;
        let batch = BATCH.min(rows.len());
        Some(rows.drain(..batch).collect())
    }

    fn put_back(&self, realm: Uuid, mut rows: Vec<ReadRow>) {
        let mut shelves = self.lock();
        let shelf = shelves.of.entry(realm).or_default();
        rows.append(&mut shelf.rows);
        shelf.rows = rows;
    }

    /// Takes the shelf away if it is empty: the next row then has a task of its own.
    fn is_done(&self, realm: Uuid) -> bool {
        let mut shelves = self.lock();
        let empty = shelves.of.get(&realm).is_none_or(|shelf| shelf.rows.is_empty());
        if empty {
            shelves.of.remove(&realm);
        }
        empty
    }

    /// Writes all rows that wait; from now on a read is noted before its answer. What cannot be written in time is lost, and
    /// counted: an alarm.
    pub async fn drain(&self, limit: Duration) {
        {
            let _shelves = self.lock();
            self.stop.cancel();
            self.tasks.close();
        }
        if timeout(limit, self.tasks.wait()).await.is_err() {
            let lost = self.waiting();
            tracing::error!(
                lost,
                "ALARM: stopped with reads of personal data that could not be noted"
            );
            crate::metrics::ALARMS.with_label_values(&["audit_reads_lost"]).inc_by(lost as u64);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One statement. If its outcome is not known it is sent again: better a read noted twice than not at all.
async fn write(realm: &Realm, rows: &[ReadRow]) -> Result<(), super::sealer::SealError> {
    let mut conn = realm.chain.connection().await?;
    Ok(store::insert_reads(&mut conn, rows).await?)
}
