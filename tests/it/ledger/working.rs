//! The worker on real databases, with a post office in place of the product: it notes what it is given.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nadi::outbox::{self, Delivery, Handed, NewMessage, OutboxRow, Turns};
use nadi::tenancy::hinter::Hinter;
use nadi::tenancy::pools::{Conn, Pool, PoolSettings, Server};
use nadi::tenancy::wakeups;
use nadi::worker::{Clinics, Settings, Unreachable, Worker};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::databases::Databases;
use super::{GRACE, MINUTE, execute, hint, message, until, wakes_in};

pub(super) struct PostOffice {
    central: Pool,
    clinic: Pool,
    turns: Turns,
    closed: AtomicBool,
    delivered: Mutex<Vec<Uuid>>,
    /// What to say to the next deliveries; when it is empty, that they were sent.
    answers: Mutex<VecDeque<Delivery>>,
    /// A delivery takes one of these for as long as it lasts.
    counters: Semaphore,
}

#[derive(Clone)]
pub(super) struct Post(Arc<PostOffice>);

impl Clinics for Post {
    async fn central(&self) -> sqlx::Result<Conn> {
        let conn = self.0.central.acquire().await;
        conn.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))
    }

    async fn connection(&self, _: Uuid) -> Result<Conn, Unreachable> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Unreachable("closed".into()));
        }
        self.0.clinic.acquire().await.map_err(|error| Unreachable(error.into()))
    }

    fn turns(&self) -> &Turns {
        &self.0.turns
    }

    async fn deliver(&self, _: Uuid, row: OutboxRow) -> Handed {
        let _counter = self.0.counters.acquire().await.unwrap();
        self.0.delivered.lock().unwrap().push(row.id);
        let answer = self.0.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Delivery::Sent { channel: "sms".into() }).into()
    }
}

fn pool(connect: &PgConnectOptions) -> Pool {
    let server = Server::new("office", 8, None).unwrap();
    let settings = PoolSettings::new(connect.clone(), Uuid::nil());
    Pool::new(server, settings, Arc::new(|_| Box::pin(async { Ok(()) })))
}

pub(super) struct Office {
    pub(super) databases: Databases,
    post: Arc<PostOffice>,
    pub(super) worker: Worker<Post>,
    pub(super) stop: CancellationToken,
}

pub(super) fn quick() -> Settings {
    Settings {
        poll: Duration::from_millis(50),
        grace: Duration::from_millis(200),
        look_lasts: Duration::from_millis(300),
        stop_within: Duration::from_secs(5),
        ..Settings::default()
    }
}

impl Office {
    async fn open(settings: Settings) -> Self {
        let databases = Databases::new().await;
        let hinter = Hinter::start(databases.central.clone());
        Self::with(databases, hinter, settings)
    }

    pub(super) fn with(databases: Databases, hinter: Hinter, settings: Settings) -> Self {
        let post = Arc::new(PostOffice {
            turns: Turns::default(),
            central: pool(&databases.central),
            clinic: pool(&databases.clinic),
            closed: AtomicBool::new(false),
            delivered: Mutex::default(),
            answers: Mutex::default(),
            counters: Semaphore::new(100),
        });
        let stop = CancellationToken::new();
        let worker = Worker::new(Post(post.clone()), hinter, settings, stop.clone());
        Self { databases, post, worker, stop }
    }

    pub(super) fn run(&self) -> JoinHandle<()> {
        let worker = self.worker.clone();
        tokio::spawn(async move { worker.run().await })
    }

    async fn put(&self, message: &NewMessage) -> Uuid {
        outbox::put(&mut self.databases.clinic().await, message).await.unwrap().unwrap()
    }

    async fn hint(&self, grace: Duration) {
        hint(&mut self.databases.central().await, self.databases.clinic_id, grace).await;
    }

    fn delivered(&self) -> Vec<Uuid> {
        self.post.delivered.lock().unwrap().clone()
    }

    pub(super) async fn statuses(&self) -> Vec<String> {
        sqlx::query_scalar("select status from outbox order by status")
            .fetch_all(&mut self.databases.clinic().await)
            .await
            .unwrap()
    }

    /// Everything sent, and no wake-up left.
    pub(super) async fn until_at_rest(&self) {
        until("the ledger is at rest", async || {
            let left = "select exists (select from outbox where done_at is null)";
            let left: bool = sqlx::query_scalar(left)
                .fetch_one(&mut self.databases.clinic().await)
                .await
                .unwrap();
            !left && wakes_in(&mut self.databases.central().await).await.is_none()
        })
        .await;
    }

    async fn is_signed_in(&self) -> bool {
        let central = &mut self.databases.central().await;
        let signed_in = "select exists (select from instances)";
        sqlx::query_scalar(signed_in).fetch_one(central).await.unwrap()
    }
}

#[tokio::test]
async fn what_was_hinted_is_sent_once_and_the_ledger_comes_to_rest() {
    let office = Office::open(quick()).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(office.put(&message(&format!("{n}"), Utc::now())).await);
    }
    office.hint(Duration::ZERO).await;

    let running = office.run();
    office.until_at_rest().await;
    until("it signs in", async || office.is_signed_in().await).await;
    office.stop.cancel();
    running.await.unwrap();

    let mut delivered = office.delivered();
    delivered.sort();
    assert_eq!(delivered, ids);
    assert_eq!(office.statuses().await, ["sent", "sent", "sent"]);
    assert_eq!(office.worker.missed(), 0);
    assert!(!office.is_signed_in().await, "it said goodbye");
}

#[tokio::test]
async fn a_message_for_later_leaves_a_wake_up_for_its_time() {
    let office = Office::open(quick()).await;
    office.put(&message("later", Utc::now() + TimeDelta::hours(1))).await;
    office.hint(Duration::ZERO).await;

    let running = office.run();
    until("the look is over", async || {
        wakes_in(&mut office.databases.central().await).await.is_some_and(|wakes| wakes > 3_500.0)
    })
    .await;
    office.stop.cancel();
    running.await.unwrap();

    assert!(office.delivered().is_empty());
}

#[tokio::test]
async fn the_fast_path_sends_at_once_and_leaves_the_ledger_alone() {
    let office = Office::open(quick()).await;
    office.hint(MINUTE).await;
    let id = office.put(&message("code", Utc::now())).await;
    office.put(&message("another", Utc::now())).await;

    office.worker.wake(office.databases.clinic_id, id);

    until("it is sent", async || office.statuses().await == ["queued", "sent"]).await;
    assert_eq!(office.delivered(), [id]);
    assert!(wakes_in(&mut office.databases.central().await).await.unwrap() > 50.0);
}

#[tokio::test]
async fn a_message_that_failed_for_now_is_tried_again_by_its_own_timer() {
    let office = Office::open(quick()).await;
    let id = office.put(&message("one", Utc::now())).await;
    let busy = Delivery::RetryIn { delay: Duration::from_millis(30), error: "busy".into() };
    office.post.answers.lock().unwrap().extend([busy.clone(), busy]);

    office.worker.wake(office.databases.clinic_id, id);

    until("it is sent", async || office.statuses().await == ["sent"]).await;
    assert_eq!(office.delivered(), [id, id, id]);
}

#[tokio::test]
async fn a_message_that_can_never_be_sent_is_kept_as_failed() {
    let office = Office::open(quick()).await;
    office.put(&message("one", Utc::now())).await;
    office.post.answers.lock().unwrap().push_back(Delivery::Failed { error: "no number".into() });
    office.hint(Duration::ZERO).await;

    let running = office.run();
    office.until_at_rest().await;
    office.stop.cancel();
    running.await.unwrap();

    assert_eq!(office.statuses().await, ["failed"]);
}

#[tokio::test]
async fn a_clinic_out_of_reach_is_put_off_and_served_when_it_answers_again() {
    let office = Office::open(quick()).await;
    office.put(&message("one", Utc::now())).await;
    office.post.closed.store(true, Ordering::Relaxed);
    office.hint(Duration::ZERO).await;

    let running = office.run();
    until("it is put off", async || {
        let failed = "select failures > 0 and due_at > now() from wakeups";
        let central = &mut office.databases.central().await;
        sqlx::query_scalar(failed).fetch_one(central).await.unwrap()
    })
    .await;
    assert!(office.delivered().is_empty());
    office.post.closed.store(false, Ordering::Relaxed);
    office.hint(Duration::ZERO).await;
    office.until_at_rest().await;
    office.stop.cancel();
    running.await.unwrap();

    assert_eq!(office.statuses().await, ["sent"]);
}

#[tokio::test]
async fn what_only_a_sweep_finds_is_sent_and_counted() {
    let office = Office::open(quick()).await;
    office.put(&message("forgotten", Utc::now() - TimeDelta::minutes(3))).await;
    office.put(&message("fresh", Utc::now())).await;

    // At its start the worker makes the row that the ledger lacks, and that is swept at once.
    let running = office.run();
    until("both are sent", async || office.statuses().await == ["sent", "sent"]).await;
    office.stop.cancel();
    running.await.unwrap();

    assert_eq!(office.worker.missed(), 1);
}

#[tokio::test]
async fn a_backlog_is_sent_in_many_looks() {
    let office = Office::open(Settings { look_rows: 4, ..quick() }).await;
    for n in 0..30 {
        office.put(&message(&format!("{n}"), Utc::now())).await;
    }
    office.hint(Duration::ZERO).await;

    let running = office.run();
    office.until_at_rest().await;
    office.stop.cancel();
    running.await.unwrap();

    let mut delivered = office.delivered();
    delivered.sort();
    delivered.dedup();
    assert_eq!((office.delivered().len(), delivered.len()), (30, 30));
}

#[tokio::test]
async fn a_send_may_outlive_its_look_and_its_lease_and_is_not_repeated() {
    let row_lease = Duration::from_millis(400);
    let office = Office::open(Settings { row_lease, ..quick() }).await;
    office.put(&message("slow", Utc::now())).await;
    let all_busy = office.post.counters.acquire_many(100).await.unwrap();
    office.hint(Duration::ZERO).await;

    let running = office.run();
    let leased_for = async || {
        let seconds = "select coalesce(extract(epoch from leased_until - created_at), 0)::float8
                       from outbox";
        let clinic = &mut office.databases.clinic().await;
        sqlx::query_scalar::<_, f64>(seconds).fetch_one(clinic).await.unwrap()
    };
    until("its lease was kept several times", async || leased_for().await > 2.0).await;
    drop(all_busy);
    office.until_at_rest().await;
    office.stop.cancel();
    running.await.unwrap();

    assert_eq!(office.delivered().len(), 1);
    assert_eq!(office.statuses().await, ["sent"]);
}

#[tokio::test]
async fn a_stop_waits_for_the_send_that_is_under_way() {
    let office = Office::open(quick()).await;
    let id = office.put(&message("slow", Utc::now())).await;
    let all_busy = office.post.counters.acquire_many(100).await.unwrap();
    let running = office.run();
    office.worker.wake(office.databases.clinic_id, id);
    until("it is under way", async || office.statuses().await == ["sending"]).await;

    office.stop.cancel();
    office.worker.wake(office.databases.clinic_id, id); // too late for anything new
    drop(all_busy);
    running.await.unwrap();

    assert_eq!(office.statuses().await, ["sent"]);
}

#[tokio::test]
async fn who_stops_owing_a_hint_says_no_goodbye() {
    let databases = Databases::new().await;
    let nowhere = databases.central.clone().database("nowhere");
    let hinter = Hinter::start(nowhere);
    let stop_within = Duration::from_millis(100);
    let office = Office::with(databases, hinter.clone(), Settings { stop_within, ..quick() });
    let running = office.run();
    until("it signs in", async || office.is_signed_in().await).await;
    hinter.hint(office.databases.clinic_id, GRACE).await;

    office.stop.cancel();
    running.await.unwrap();

    assert_eq!(hinter.owed(), 1);
    assert!(office.is_signed_in().await, "its death will be noticed");
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing_back() {
    let office =
        Office::open(Settings { clinic_lease: Duration::from_millis(200), ..quick() }).await;
    office.put(&message("slow", Utc::now())).await;
    let all_busy = office.post.counters.acquire_many(100).await.unwrap();
    office.hint(Duration::ZERO).await;
    let mut central = office.databases.central().await;
    let running = office.run();
    until("it is under way", async || office.statuses().await == ["sending"]).await;

    // As if another had leased the clinic meanwhile, for long.
    execute(
        &mut central,
        "update wakeups set lease_token = '00000000-0000-4000-8000-000000000000',
           leased_until = now() + interval '1 hour', due_at = now()",
    )
    .await;
    office.stop.cancel();
    drop(all_busy);
    running.await.unwrap();

    let leases = wakeups::lease(&mut central, 10, MINUTE, Uuid::nil()).await.unwrap();
    assert!(leases.is_empty(), "the other still has it");
    assert_eq!(office.statuses().await, ["sent"]);
}
