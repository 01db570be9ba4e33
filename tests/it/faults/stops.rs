//! Instances that are told to leave, and instances that are frozen and come back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::Connection;

use super::Scene;
use crate::support::{Mood, Process, SmtpServer, until};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_leave_answers_first_what_is_under_way() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let mut process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    let mut blocker = scene.clinic.connection().await;
    let mut block = blocker.begin().await.unwrap();
    sqlx::query("lock table appointments in exclusive mode").execute(&mut *block).await.unwrap();
    let booking = tokio::spawn({
        let (desk, visit) = (desk.clone(), scene.visit(0));
        async move { desk.post("/appointments", &visit).await }
    });
    until("the booking waits", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        scene.clinic.count(waiting).await > 0
    })
    .await;

    process.signal(Signal::SIGTERM);
    until("nobody new is let in", async || {
        reqwest::get(format!("{}/health", process.address)).await.is_err()
    })
    .await;
    assert!(!process.has_ended() && !booking.is_finished());
    block.commit().await.unwrap();
    let released = Instant::now();

    booking.await.unwrap().expect(201);
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
    assert!(released.elapsed() < Duration::from_secs(15), "it waited for an idle connection");
    let left = "select count(*) from instances";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut scene.central().await).await.unwrap();
    assert_eq!(left, 0, "it said goodbye");
    let _next = scene.serve().await; // for a message that was too late for the last senders
    scene.until_all_done().await;
    scene.assert_each_arrived_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_sender_is_replaced_and_changes_nothing_when_it_comes_back() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let frozen = scene.serve().await;
    let desk = scene.clinic.desk().await;
    scene.mail.set(Mood::Hang);
    scene.book(&desk, 0).await;
    until("it is being sent", async || scene.mail.seen() == 1).await;
    frozen.signal(Signal::SIGSTOP);
    scene.let_a_minute_pass().await;

    let mut other = Process::serve(&scene.platform.settings()).await;
    until("the other has taken over", async || scene.mail.seen() == 2).await;
    scene.mail.set(Mood::Letter("554 5.7.1 no")); // both calls get this answer; only one may be recorded
    scene.until_all_done().await;
    frozen.signal(Signal::SIGCONT);

    until("the frozen one has learnt its answer, too", async || {
        scene.clinic.count("select count(*) from outbox_attempts where outcome = 'refused'").await
            == 2
    })
    .await;
    let row =
        "select count(*) from outbox where status = 'failed' and attempts = 2 and lease_token = 2";
    assert_eq!(scene.clinic.count(row).await, 1);
    let desk = desk.at(&frozen.address, &scene.clinic.host);
    scene.mail.set(Mood::Accept);
    scene.book(&desk, 1).await; // it works on as if nothing had been
    scene.until_all_done().await;
    assert_eq!(scene.mail.accepted().len(), 1);
    other.kill().await;
}
