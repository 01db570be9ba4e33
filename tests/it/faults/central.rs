//! The central database is out of reach: clinics that are known go on, and their messages too.

use super::Scene;
use crate::support::{SmtpServer, until};

/// A process that knows the clinic, its desk and its doctor.
const WARM: usize = 0;

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_without_central_stands_and_is_told() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    scene.book(&desk, WARM).await;
    scene.until_all_done().await;

    scene.cut_central_off().await;
    for n in 1..4 {
        scene.book(&desk, n).await;
    }
    // The fast path needs the clinic alone.
    scene.until_all_done().await;
    scene.give_central_back().await;

    scene.assert_each_arrived_once().await;
    until("no hint is owed", async || process.metric("nadi_hints_owed").await == Some(0.0)).await;
    let hints = "select hints from wakeups";
    let hints: i64 = sqlx::query_scalar(hints).fetch_one(&mut scene.central().await).await.unwrap();
    assert!(hints >= 2, "the owed hint was made: {hints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_could_hint_goes_out_when_central_is_back() {
    let mut scene = Scene::new(SmtpServer::down()).await;
    let mut process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    let at_rest =
        "select due_at = 'infinity' and sweep_at > now() + interval '50 min' from wakeups";
    until("the ledger is at rest", async || {
        sqlx::query_scalar(at_rest).fetch_one(&mut scene.central().await).await.unwrap()
    })
    .await;
    scene.cut_central_off().await;
    scene.book(&desk, 0).await;
    process.kill().await; // owing the hint
    scene.mail.rise();
    scene.give_central_back().await;
    let unhinted: bool =
        sqlx::query_scalar(at_rest).fetch_one(&mut scene.central().await).await.unwrap();
    assert!(unhinted);
    scene.let_a_minute_pass().await;

    let _process = scene.serve().await;
    until("the dead one is buried", async || {
        // A minute passes for it, too.
        let mut central = scene.central().await;
        sqlx::query("update instances set seen_at = seen_at - interval '61 s' where seen_at < now() - interval '3 s'")
            .execute(&mut central)
            .await
            .unwrap();
        let sweeps = "select sweep_at < now() + interval '11 min' from wakeups";
        sqlx::query_scalar(sweeps).fetch_one(&mut central).await.unwrap()
    })
    .await;
    // So do the ten minutes in which the sweep is due.
    sqlx::query("update wakeups set sweep_at = sweep_at - interval '10 min'")
        .execute(&mut scene.central().await)
        .await
        .unwrap();

    scene.until_all_done().await;
    scene.assert_each_arrived_once().await;
}
