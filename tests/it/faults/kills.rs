//! `kill -9` at any moment between a booking and the arrival of its message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use poem::http::Method;
use tokio::sync::watch;

use super::Scene;
use crate::support::{Caller, Mood, Process, SmtpServer};

const KILLS: usize = 10;

/// What the callers saw of their bookings.
#[derive(Default)]
struct Counts {
    next: AtomicUsize,
    /// Answered with 201.
    booked: AtomicUsize,
    /// Cut off: booked or not, the caller cannot know.
    cut_off: AtomicUsize,
    enough: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_instants_lose_no_message() {
    let mut scene = Scene::new(SmtpServer::up()).await;
    scene.mail.set(Mood::Slow(Duration::from_millis(20))); // so that kills hit senders, too
    let mut process = scene.serve().await;
    let desk = scene.clinic.desk().await;
    let (tell, address) = watch::channel(process.address.clone());
    let counts = Arc::new(Counts::default());
    let scene = Arc::new(scene);
    let bookers: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn(book_on(scene.clone(), desk.clone(), address.clone(), counts.clone()))
        })
        .collect();

    let mut kills = Vec::new();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(100 + rand::random::<u64>() % 400)).await;
        let before = Instant::now();
        process.kill().await;
        kills.push((before, Instant::now()));
        if kill % 2 == 0 {
            scene.let_a_minute_pass().await; // else what the dead one held stays leased, and others must leave it alone
        }
        process = Process::serve(&scene.platform.settings()).await;
        tell.send(process.address.clone()).unwrap();
    }
    counts.enough.store(true, SeqCst);
    for booker in bookers {
        booker.await.unwrap();
    }
    process.kill().await;
    kills.push((Instant::now(), Instant::now()));
    scene.let_a_minute_pass().await;
    let process = Process::serve(&scene.platform.settings()).await;
    scene.until_all_done().await;

    let (booked, cut_off) = (counts.booked.load(SeqCst), counts.cut_off.load(SeqCst));
    let visits = scene.clinic.count("select count(*) from appointments").await as usize;
    assert!((booked..=booked + cut_off).contains(&visits), "{booked} + {cut_off}: {visits}");
    assert!(visits > KILLS && cut_off > 0, "the kills hit nothing: {booked}, {cut_off}");
    let untold = "select count(*) from appointments a
                  where not exists (select from outbox o where o.subject_id = a.id and o.status = 'sent')";
    assert_eq!(scene.clinic.count(untold).await, 0);
    let arrivals = scene.mail.arrivals();
    let arrived: Vec<String> = arrivals.keys().cloned().collect();
    assert_eq!(arrived, scene.owed().await, "all that committed has arrived, and nothing else");
    let mut repeats = 0;
    for (message_id, times) in &arrivals {
        for pair in times.windows(2) {
            repeats += 1;
            // What a dying sender had written already is read a moment later.
            let read = pair[0] - Duration::from_secs(1);
            let killed_between = kills.iter().any(|(from, to)| read <= *to && *from <= pair[1]);
            assert!(
                killed_between,
                "{message_id} arrived twice without a kill in between: {times:?}"
            );
        }
    }
    assert_eq!(process.metric("nadi_ledger_missed_total").await, Some(0.0));
    eprintln!("{visits} visits, {cut_off} callers cut off, {repeats} messages repeated");
}

/// Books one visit after the other, wherever the server is.
async fn book_on(
    scene: Arc<Scene>,
    desk: Caller,
    address: watch::Receiver<String>,
    counts: Arc<Counts>,
) {
    while !counts.enough.load(SeqCst) {
        let desk = desk.at(&address.borrow().clone(), &scene.clinic.host);
        let visit = scene.visit(counts.next.fetch_add(1, SeqCst));
        let request = desk.request(Method::POST, "/appointments").json(&visit);
        match request.send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
                counts.booked.fetch_add(1, SeqCst);
            }
            Err(_) => {
                counts.cut_off.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
