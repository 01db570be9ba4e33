//! Mail servers that are down, busy, strict, slow or silent.

use std::time::Duration;

use super::Scene;
use crate::support::{Mood, SmtpServer, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_mail_server_goes_out_once_when_it_is_back() {
    let mut scene = Scene::new(SmtpServer::down()).await;
    let _process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    for n in 0..5 {
        scene.book(&desk, n).await;
    }
    // Not each: a fifth try in vain opens the breaker, and then they go by one, with longer and longer rests.
    until("one was tried in vain", async || {
        let tried = "select count(*) from outbox where attempts > 0 and last_error is not null";
        scene.clinic.count(tried).await > 0
    })
    .await;
    assert_eq!(scene.clinic.count("select count(*) from outbox where done_at is null").await, 5);

    scene.mail.rise();

    scene.until_all_done().await;
    assert_eq!(scene.statuses().await, [("sent".to_owned(), 5)]);
    scene.assert_each_arrived_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_now_is_tried_again_and_never_is_not() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let _process = scene.serve().await;
    let desk = scene.clinic.desk().await;

    scene.mail.set(Mood::Recipient("450 4.2.1 greylisted, come back later"));
    scene.book(&desk, 0).await;
    until("it was put off", async || {
        let put_off = "select count(*) from outbox_attempts where outcome = 'retry' and error like '%450 4.2.1%'";
        scene.clinic.count(put_off).await > 0
    })
    .await;
    scene.mail.set(Mood::Accept);
    scene.until_all_done().await;
    scene.assert_each_arrived_once().await;

    scene.mail.set(Mood::Letter("554 5.7.1 we never take this"));
    scene.book(&desk, 1).await;
    scene.until_all_done().await;
    assert_eq!(scene.statuses().await, [("failed".to_owned(), 1), ("sent".to_owned(), 1)]);
    let failed = "select count(*) from outbox
                  where status = 'failed' and attempts = 1 and last_error like '%5.7.1%'";
    assert_eq!(scene.clinic.count(failed).await, 1, "once is enough, and the reason is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_before_the_answer_is_no_delivery() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let _process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    scene.mail.set(Mood::Reset);
    scene.book(&desk, 0).await;
    until("it broke", async || scene.mail.seen() > 0).await;

    scene.mail.set(Mood::Accept);

    scene.until_all_done().await;
    scene.assert_each_arrived_once().await;
}

/// A call that was given up has an answer on its way. Whoever used that connection next would take it for the answer to
/// his own letter, and a letter that the server then refuses would count as delivered.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_never_taken_for_that_of_another_letter() {
    const LETTERS: usize = 8;
    let mut scene = Scene::new(SmtpServer::up()).await;
    let _process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    scene.mail.set(Mood::Hang);
    for n in 0..LETTERS {
        scene.book(&desk, n).await;
    }
    until("they were given up", async || {
        let given_up =
            "select count(distinct outbox_id) from outbox_attempts where outcome = 'retry'";
        scene.clinic.count(given_up).await == LETTERS as i64
    })
    .await;

    scene.mail.set(Mood::Accept); // the late answers: taken over
    until("it has answered", async || scene.mail.accepted().len() >= LETTERS).await;
    scene.mail.set(Mood::Letter("451 4.3.0 not now"));
    let before = scene.mail.seen();
    for n in LETTERS..2 * LETTERS {
        scene.book(&desk, n).await;
    }
    until("the others were put off", async || scene.mail.seen() >= before + LETTERS).await;
    tokio::time::sleep(Duration::from_millis(500)).await; // for what must not happen there is nothing to wait for
    scene.mail.set(Mood::Accept);

    scene.until_all_done().await;
    let arrived: Vec<String> = scene.mail.arrivals().into_keys().collect();
    assert_eq!(arrived, scene.owed().await);
}
