//! `kill -9` at each chosen point between a booking and the end of its delivery. A trigger, or a mail server that does not
//! speak, holds the process just before the next step; then it dies. Nothing is lost, and only a call whose end nobody
//! recorded is made again.

use std::net::TcpListener;

use poem::http::Method;
use sqlx::PgConnection;

use super::Scene;
use crate::support::{Mood, Process, SmtpServer, until};

/// A statement before which the process is held: `before insert on outbox`, say, and for which rows.
struct Before {
    event: &'static str,
    of: &'static str,
}

const COMMIT: Before = Before { event: "insert on outbox", of: "true" };
const CLAIM: Before =
    Before { event: "update on outbox", of: "new.status = 'sending' and old.status = 'queued'" };
const ATTEMPT: Before = Before { event: "insert on outbox_attempts", of: "true" };
const REPLY_RECORDED: Before =
    Before { event: "update on outbox_attempts", of: "new.ended_at is not null" };
const FINISH: Before = Before { event: "update on outbox", of: "new.status = 'sent'" };

/// Holds whoever comes to a statement, for as long as it has its lock.
struct Held {
    lock: PgConnection,
}

impl Held {
    async fn before(scene: &Scene, point: &Before) -> Self {
        let mut lock = scene.clinic.connection().await;
        let Before { event, of } = point;
        execute(
            &mut lock,
            &format!(
                "create function hold() returns trigger language plpgsql as $$
                 begin perform pg_advisory_xact_lock_shared(5, 5); return new; end $$;
                 create trigger hold before {event} for each row when ({of}) execute function hold();
                 select pg_advisory_lock(5, 5)"
            ),
        )
        .await;
        Self { lock }
    }

    async fn until_somebody_waits(&mut self) {
        let waits = "select exists (select from pg_locks where locktype = 'advisory' and not granted and classid = 5)";
        until("the process is held", async || {
            sqlx::query_scalar(waits).fetch_one(&mut self.lock).await.unwrap()
        })
        .await;
    }

    /// What a dead process left waiting is thrown out, so that it does not run on now; then the way is free.
    async fn free(mut self) {
        execute(
            &mut self.lock,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid();
             drop function hold cascade",
        )
        .await;
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Books until the process is held before that statement, kills it there, lets another go on, and says how often the
/// message arrived.
async fn arrivals_after_a_kill_before(point: &Before) -> usize {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let mut process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    let mut held = Held::before(&scene, point).await;

    scene.book(&desk, 0).await;
    held.until_somebody_waits().await;
    process.kill().await;
    held.free().await;

    goes_on(&scene).await
}

/// Another process takes over. Whatever the dead one had promised arrives.
async fn goes_on(scene: &Scene) -> usize {
    scene.let_a_minute_pass().await;
    let process = Process::serve(&scene.platform.settings()).await;
    scene.until_all_done().await;

    assert_eq!(scene.statuses().await, [("sent".to_owned(), 1)]);
    assert_eq!(process.metric("nadi_ledger_missed_total").await, Some(0.0));
    let arrivals = scene.mail.arrivals();
    assert_eq!(arrivals.keys().cloned().collect::<Vec<_>>(), scene.owed().await);
    arrivals.values().map(Vec::len).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_commit_there_is_no_booking_and_no_message() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let mut process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    let mut held = Held::before(&scene, &COMMIT).await;

    let request = desk.request(Method::POST, "/appointments").json(&scene.visit(0));
    let booking = tokio::spawn(request.send());
    held.until_somebody_waits().await;
    process.kill().await;
    assert!(booking.await.unwrap().is_err(), "nobody was told that it stands");
    held.free().await;

    // The hint was made before, so a look finds nothing; the next booking goes its way.
    scene.let_a_minute_pass().await;
    let process = scene.serve().await;
    assert_eq!(scene.clinic.count("select count(*) from appointments").await, 0);
    assert_eq!(scene.statuses().await, []);
    scene.book(&scene.clinic.desk().await, 0).await;
    scene.until_all_done().await;
    scene.assert_each_arrived_once().await;
    assert_eq!(process.metric("nadi_ledger_missed_total").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_commit_and_before_the_claim_it_arrives_once() {
    assert_eq!(arrivals_after_a_kill_before(&CLAIM).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_claim_and_before_the_attempt_it_arrives_once() {
    assert_eq!(arrivals_after_a_kill_before(&ATTEMPT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_attempt_and_before_a_word_was_said_it_arrives_once() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap(); // takes calls, and does not speak
    let mut scene = Scene::new(SmtpServer::up()).await;
    let mut settings = scene.platform.settings();
    let smtp = settings.iter_mut().find(|(name, _)| name == "NADI_SMTP_URL").unwrap();
    smtp.1 = format!("smtp://{}", deaf.local_addr().unwrap());
    let mut process = Process::serve(&settings).await;
    scene.clinic.address = process.address.clone();

    scene.book(&scene.clinic.desk().await, 0).await;
    until("the attempt is on record", async || {
        scene.clinic.count("select count(*) from outbox_attempts").await == 1
    })
    .await;
    process.kill().await;

    assert_eq!(goes_on(&scene).await, 1);
    let open = "select count(*) from outbox_attempts where ended_at is null";
    assert_eq!(scene.clinic.count(open).await, 1, "of that call nobody knows how it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_the_call_it_arrives_once_more() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    scene.mail.set(Mood::Hang);
    let mut process = scene.serve().await;

    scene.book(&scene.clinic.desk().await, 0).await;
    until("the letter is there, and unanswered", async || scene.mail.seen() == 1).await;
    process.kill().await;
    scene.mail.set(Mood::Accept);
    until("the mail server has taken it over", async || scene.mail.accepted().len() == 1).await;

    assert_eq!(goes_on(&scene).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_reply_and_before_it_is_recorded_it_arrives_once_more() {
    assert_eq!(arrivals_after_a_kill_before(&REPLY_RECORDED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_reply_was_recorded_and_before_the_end_it_arrives_once_more() {
    assert_eq!(arrivals_after_a_kill_before(&FINISH).await, 2);
}
