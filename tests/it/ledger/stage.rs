//! Where interleavings are played: producers and workers on real connections, each led through its transaction step by step.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nadi::outbox::{self, Delivery, End, NewMessage, Next, OutboxRow};
use nadi::tenancy::wakeups::{self, Lease};
use sqlx::PgConnection;
use uuid::Uuid;

use super::databases::Databases;
use super::{GRACE, MINUTE, execute, hint, message, wakes_in};

/// What a producer's transaction does once it is inside the gate and has hinted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    PutNow,
    PutForLater,
    /// The row that is there before anybody starts: it is due in half an hour.
    MoveEarlier,
    /// The same row: for this change and the next it is due already, so that a worker may hold it.
    MoveLater,
    /// Cancelled: no gate, no hint, and it counts as one step.
    Withdraw,
    Abort,
}

pub(super) const CHANGES: [Change; 6] = [
    Change::PutNow,
    Change::PutForLater,
    Change::MoveEarlier,
    Change::MoveLater,
    Change::Withdraw,
    Change::Abort,
];

struct Producer {
    clinic: PgConnection,
    change: Change,
    step: usize,
}

struct Worker {
    clinic: PgConnection,
    step: usize,
    lease: Option<Lease>,
    row: Option<OutboxRow>,
    gate_free: bool,
    next: Option<Next>,
}

/// Into how many steps actors are divided. Where there would be too many orders, a change and its commit are one step,
/// and a look neither sends nor sends heartbeats.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Steps {
    Fine,
    Coarse,
}

impl Steps {
    pub(super) fn of(self, change: Change) -> usize {
        match (change, self) {
            (Change::Withdraw, _) => 1,
            (_, Steps::Fine) => 4,
            (_, Steps::Coarse) => 3,
        }
    }

    pub(super) fn of_a_look(self) -> usize {
        if self == Steps::Fine { 7 } else { 5 }
    }
}

/// In an order of actors: the lease of whoever looks after the clinic lapses.
pub(super) const LAPSE: usize = usize::MAX;
/// In an order of actors: the first worker dies, with whatever it holds.
pub(super) const DEATH: usize = usize::MAX - 1;

pub(super) struct Stage {
    clinic_id: Uuid,
    standing: Uuid,
    pub(super) grace: Duration,
    central: PgConnection,
    clinic: PgConnection,
    producers: Vec<Producer>,
    workers: Vec<Worker>,
    /// Kept to the end: they go with it.
    databases: Databases,
}

/// The message that was there before anybody began.
fn standing(subject_id: Uuid, due_at: DateTime<Utc>) -> NewMessage {
    NewMessage { subject_id, ..message("standing", due_at) }
}

impl Stage {
    pub(super) async fn new(producers: usize, workers: usize) -> Self {
        let databases = Databases::new().await;
        let mut stage = Self {
            clinic_id: databases.clinic_id,
            standing: Uuid::now_v7(),
            grace: GRACE,
            central: databases.central().await,
            clinic: databases.clinic().await,
            producers: Vec::new(),
            workers: Vec::new(),
            databases,
        };
        for _ in 0..producers {
            let mut clinic = stage.databases.clinic().await;
            execute(&mut clinic, "set lock_timeout = '20ms'").await;
            stage.producers.push(Producer { clinic, change: Change::Abort, step: 0 });
        }
        for _ in 0..workers {
            let mut clinic = stage.databases.clinic().await;
            execute(&mut clinic, "set lock_timeout = '20ms'").await;
            stage.workers.push(Worker {
                clinic,
                step: 0,
                lease: None,
                row: None,
                gate_free: false,
                next: None,
            });
        }
        stage
    }

    /// One row, which the ledger knows of; and a sweep is due.
    async fn set(&mut self, changes: &[Change]) {
        for (producer, change) in self.producers.iter_mut().zip(changes) {
            (producer.change, producer.step) = (*change, 0);
        }
        for worker in &mut self.workers {
            (worker.step, worker.lease, worker.row, worker.next) = (0, None, None, None);
        }
        execute(&mut self.clinic, "delete from outbox").await;
        let due_already = |change: &Change| matches!(change, Change::MoveLater | Change::Withdraw);
        let due_in = if changes.iter().any(due_already) { 0 } else { 30 * 60 };
        let standing = standing(self.standing, Utc::now() + TimeDelta::seconds(due_in));
        outbox::put(&mut self.clinic, &standing).await.unwrap().unwrap();
        sqlx::query(
            "insert into wakeups (clinic_id, due_at) values ($1, now() + make_interval(secs => $2))
             on conflict (clinic_id) do update set
               due_at = excluded.due_at, sweep_at = now(), lease_token = null,
               leased_until = '-infinity'",
        )
        .bind(self.clinic_id)
        .bind(due_in as f64)
        .execute(&mut self.central)
        .await
        .unwrap();
    }

    /// The producer's next step, if it has one left.
    async fn produce(&mut self, p: usize, steps: Steps) -> sqlx::Result<()> {
        let producer = &mut self.producers[p];
        producer.step += 1;
        if matches!(producer.change, Change::Withdraw) {
            return outbox::withdraw(&mut producer.clinic, self.standing).await.map(|_| ());
        }
        match producer.step {
            1 => {
                execute(&mut producer.clinic, "begin").await;
                sqlx::query(outbox::GATE).execute(&mut producer.clinic).await?;
            }
            2 => hint(&mut self.central, self.clinic_id, self.grace).await,
            3 => {
                self.change(p).await?;
                if steps == Steps::Coarse {
                    self.end(p).await;
                }
            }
            _ => self.end(p).await,
        }
        Ok(())
    }

    async fn change(&mut self, p: usize) -> sqlx::Result<()> {
        let hour = TimeDelta::hours(1);
        let Producer { clinic, change, .. } = &mut self.producers[p];
        let soon = matches!(change, Change::PutNow | Change::MoveEarlier | Change::Abort);
        let due_at = if soon { Utc::now() } else { Utc::now() + hour };
        match change {
            Change::PutNow | Change::PutForLater | Change::Abort => {
                outbox::put(clinic, &message(&format!("by {p}"), due_at))
                    .await?
                    .expect("its own key");
            }
            Change::MoveEarlier | Change::MoveLater => {
                // Withdrawn, and put again for another time.
                if outbox::withdraw(&mut *clinic, self.standing).await? > 0 {
                    outbox::put(clinic, &standing(self.standing, due_at)).await?;
                }
            }
            Change::Withdraw => unreachable!("it has one step"),
        }
        Ok(())
    }

    async fn end(&mut self, p: usize) {
        let Producer { clinic, change, .. } = &mut self.producers[p];
        let end = if matches!(change, Change::Abort) { "rollback" } else { "commit" };
        execute(clinic, end).await;
    }

    /// The worker's next step. A look that never got the lease, or lost it, has nothing to do.
    async fn look(&mut self, w: usize, steps: Steps) -> sqlx::Result<()> {
        let central = &mut self.central;
        let worker = &mut self.workers[w];
        worker.step += 1;
        let step = match steps {
            Steps::Fine => worker.step,
            Steps::Coarse => [1, 2, 5, 6, 7][worker.step - 1],
        };
        if step == 1 {
            let leases = wakeups::lease(&mut *central, 1, MINUTE, Uuid::nil()).await?;
            worker.lease = leases.into_iter().next();
        }
        let Some(lease) = &mut worker.lease else { return Ok(()) };
        match step {
            2 => worker.row = outbox::claim(&mut worker.clinic, 1, MINUTE).await?.rows.pop(),
            3 => {
                if let Some(row) = &worker.row {
                    send(&mut worker.clinic, row).await?;
                }
            }
            4 => match wakeups::heartbeat(central, lease, MINUTE).await? {
                Some(hints) => lease.hints = hints,
                None => worker.lease = None,
            },
            5 => worker.gate_free = outbox::gate_is_free(&mut worker.clinic).await?,
            6 => worker.next = outbox::next(&mut worker.clinic).await?,
            7 => {
                let next_in = worker.next.map(|next| next.from_now());
                let gate_free = worker.gate_free;
                wakeups::write_back(central, lease, gate_free, next_in, self.grace).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Everybody is done: nothing late, and once time has passed, looking ends with everything sent and no wake-up.
    async fn must_come_home(&mut self, told: &str) {
        let next = outbox::next(&mut self.clinic).await.unwrap().map(|next| next.from_now());
        let wakes = wakes_in(&mut self.central).await;
        if let Some(next) = next {
            let bound = self.grace.as_secs_f64().max(next.as_seconds_f64()) + 1.0;
            assert!(wakes.is_some_and(|wakes| wakes <= bound), "{told}: {next} but {wakes:?}");
        }
        for looks in 0.. {
            assert!(looks < 8, "{told}: looking never ends");
            if wakes_in(&mut self.central).await.is_none() {
                break;
            }
            // As if time had passed on both sides, up to the wake-up.
            execute(
                &mut self.central,
                "update wakeups set due_at = now(), sweep_at = 'infinity',
                   leased_until = least(leased_until, now())",
            )
            .await;
            execute(
                &mut self.clinic,
                "update outbox set due_at = now(), leased_until = null
                                       where done_at is null",
            )
            .await;
            let mut leases =
                wakeups::lease(&mut self.central, 1, MINUTE, Uuid::nil()).await.unwrap();
            let lease = leases.remove(0);
            for row in outbox::claim(&mut self.clinic, 10, MINUTE).await.unwrap().rows {
                send(&mut self.clinic, &row).await.unwrap();
            }
            let gate_free = outbox::gate_is_free(&mut self.clinic).await.unwrap();
            let next = outbox::next(&mut self.clinic).await.unwrap();
            let next_in = next.map(|next| next.from_now());
            wakeups::write_back(&mut self.central, &lease, gate_free, next_in, GRACE)
                .await
                .unwrap();
        }
        let left: i64 = sqlx::query_scalar("select count(*) from outbox where done_at is null")
            .fetch_one(&mut self.clinic)
            .await
            .unwrap();
        assert_eq!(left, 0, "{told}: messages without a wake-up");
    }

    /// Plays one order: the numbers of producers, then those of workers. False if it cannot be played, for one of them
    /// would have to wait for a row that another has not let go yet.
    pub(super) async fn play(&mut self, changes: &[Change], order: &[usize], steps: Steps) -> bool {
        self.set(changes).await;
        for actor in order {
            let step = match actor.checked_sub(self.producers.len()) {
                _ if *actor == LAPSE => self.lapse().await,
                _ if *actor == DEATH => {
                    (self.workers[0].lease, self.workers[0].row) = (None, None);
                    Ok(())
                }
                None => self.produce(*actor, steps).await,
                Some(w) => self.look(w, steps).await,
            };
            let Err(error) = step else { continue };
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("55P03"), "{error}");
            for producer in &mut self.producers {
                execute(&mut producer.clinic, "rollback").await;
            }
            return false;
        }
        self.must_come_home(&format!("{changes:?} {order:?}")).await;
        true
    }

    async fn lapse(&mut self) -> sqlx::Result<()> {
        let sql = "update wakeups set leased_until = now(), sweep_at = now()";
        sqlx::query(sql).execute(&mut self.central).await.map(|_| ())
    }
}

async fn send(clinic: &mut PgConnection, row: &OutboxRow) -> sqlx::Result<()> {
    outbox::finish(clinic, &End::of(row, &Delivery::Sent { channel: "sms".into() }.into()))
        .await
        .map(|_| ())
}
