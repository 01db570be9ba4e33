//! Who comes back hears what he has missed, in order, and what committed late above all.

use nadi::retention::Retention;
use nadi::tenancy::Directory;
use nadi::tenancy::directory::Idle;
use nadi::tenancy::hinter::Hinter;
use nadi::worker::FastPath;
use reqwest::Method;
use sqlx::{Connection, PgConnection};

use super::{ELEVEN, HALF_PAST, TEN, Watcher, book, pair};
use crate::support::{TestClinic, TestPlatform};

/// As a slice writes one, at the desk of a database.
async fn write(connection: &mut PgConnection, clinic: &TestClinic, kind: &str) {
    sqlx::query("insert into live_events (kind, patient_id) values ($1, $2)")
        .bind(kind)
        .bind(clinic.patients[0])
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_hears_what_he_has_missed() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let greeted = watcher.last_id().to_owned();
    let first = book(&clinic, &desk, 0, TEN).await;
    assert_eq!(watcher.hears().await, pair("booked", &first));
    let heard = watcher.last_id().to_owned();
    drop(watcher);

    let missed = book(&clinic, &desk, 1, HALF_PAST).await;
    desk.delete(&format!("/appointments/{first}")).await.expect(200);

    // On another instance as well; by the header, or by the address.
    let there = desk.at(&second.address, &clinic.host);
    let in_the_address = format!("/live?last_event_id={heard}");
    for mut back in [
        Watcher::from(&desk, &heard).await,
        Watcher::from(&there, &heard).await,
        Watcher::of(desk.request(Method::GET, &in_the_address)).await,
    ] {
        assert_eq!(back.hears().await, pair("booked", &missed));
        assert_eq!(back.hears().await, pair("cancelled", &first));
    }
    // Who had heard nothing yet knows from his greeting where he was.
    let mut back = Watcher::from(&desk, &greeted).await;
    assert_eq!(back.hears().await, pair("booked", &first));
    assert_eq!(back.hears().await, pair("booked", &missed));
    // A patient's missed ones are his own.
    let mut at_home = Watcher::from(&clinic.patient().await, &heard).await;
    assert_eq!(at_home.hears().await, pair("cancelled", &first));
    let next = book(&clinic, &desk, 0, ELEVEN).await;
    assert_eq!(at_home.hears().await, pair("booked", &next));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commits_late_is_heard_in_its_turn_and_skipped_by_nobody() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let began = watcher.last_id().to_owned();
    let mut late = clinic.connection().await;
    let mut late = late.begin().await.unwrap();
    write(&mut late, &clinic, "appointment.late").await; // its number is lower than those of all that follow
    let early = book(&clinic, &desk, 0, TEN).await;
    // Who looks now sees the one that has committed, and must not go past the other.
    let mut back = Watcher::from(&desk, &began).await;
    let block = back.block().await.unwrap();
    assert!(!block.contains("data: "), "{block}");
    let between = back.last_id().to_owned();

    late.commit().await.unwrap();

    let mut later = Watcher::from(&desk, &between).await;
    for watcher in [&mut watcher, &mut back, &mut later] {
        assert_eq!(watcher.hears().await, pair("late", ""));
        assert_eq!(watcher.hears().await, pair("booked", &early));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_write_at_once_are_all_heard_once_and_in_one_order() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let mut whole = Watcher::new(&desk).await;
    let mut broken = Watcher::new(&desk.at(&second.address, &clinic.host)).await;
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let writing: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (server, desk, patient) = (platform.server, desk.clone(), clinic.patients[0]);
            let database = nadi::tenancy::roles::database_name(clinic.id);
            tokio::spawn(async move {
                let mut connection = server.superuser(&database).await;
                for number in 0..EACH {
                    let mut tx = connection.begin().await.unwrap();
                    sqlx::query("insert into live_events (kind, patient_id) values ('appointment.raced', $1)")
                        .bind(patient)
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                    // So that numbers and commits come in different orders.
                    sqlx::query("select pg_sleep(random() * 0.01)").execute(&mut *tx).await.unwrap();
                    tx.commit().await.unwrap();
                    if number % 5 == 0 {
                        desk.get("/auth/me").await.expect(200);
                    }
                }
            })
        })
        .collect();

    let mut ids = Vec::new();
    let mut in_pieces = Vec::new();
    let ringing = tokio::spawn({
        let (visit, desk) = (clinic.visit(TEN), desk.clone());
        async move {
            // The writers above ring no bell; a booking and its cancelling do.
            loop {
                let visit = desk.post("/appointments", &visit).await.expect(201).id();
                desk.delete(&format!("/appointments/{visit}")).await.expect(200);
            }
        }
    });
    while ids.len() < WRITERS * EACH {
        let heard = whole.next().await.unwrap();
        if heard.data["kind"] == "appointment.raced" {
            ids.push(heard.id.unwrap());
        }
    }
    while in_pieces.len() < WRITERS * EACH {
        let heard = broken.next().await.unwrap();
        if heard.data["kind"] == "appointment.raced" {
            in_pieces.push(heard.id.unwrap());
            // A client notices its own hanging up late, and an account has so many streams at most.
            if in_pieces.len().is_multiple_of(17) {
                let at = broken.last_id().to_owned();
                broken = Watcher::from(&desk.at(&second.address, &clinic.host), &at).await;
            }
        }
    }
    ringing.abort();
    for writer in writing {
        writer.await.unwrap();
    }

    let mut sorted = ids.clone();
    sorted.sort_by_key(|id| id.split('-').map(|n| n.parse::<i64>().unwrap()).collect::<Vec<_>>());
    sorted.dedup();
    assert_eq!(ids, sorted, "in order, each once");
    assert_eq!(ids, in_pieces);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_too_long_is_told_to_load_anew() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let before = watcher.last_id().to_owned();
    let visit = book(&clinic, &desk, 0, TEN).await;
    watcher.hears().await;
    let after = watcher.last_id().to_owned();
    let mut connection = clinic.connection().await;
    // All but a few are past their day; more than one statement takes.
    sqlx::query("insert into live_events (kind, at) select 'appointment.old', now() - interval '25 hours' from generate_series(1, 1200)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("update live_events set at = now() - interval '25 hours'")
        .execute(&mut connection)
        .await
        .unwrap();
    desk.delete(&format!("/appointments/{visit}")).await.expect(200);

    keep(&platform).await;

    assert_eq!(clinic.count("select count(*) from live_events").await, 1);
    for from in [&before, &after] {
        let mut back = Watcher::from(&desk, from).await;
        assert_eq!(back.next().await.unwrap().event, "reset");
        let next = book(&clinic, &desk, 0, HALF_PAST).await;
        back.hears_at_last("booked", &next).await;
        // Whoever has loaded anew goes on from there.
        let id = back.last_id().to_owned();
        desk.delete(&format!("/appointments/{next}")).await.expect(200);
        Watcher::from(&desk, &id).await.hears_at_last("cancelled", &next).await;
    }
}

/// Forgets what is past its time, as a sweep does.
async fn keep(platform: &TestPlatform) {
    let core = &platform.core;
    let directory = Directory::new(
        core.central.clone(),
        core.settings.clone(),
        core.clock.clone(),
        core.notices.clone(),
        Hinter::start(core.central.home.clone()),
        FastPath::default(),
        Idle::default(),
    );
    Retention::default().keep(&directory.clinic("shanti").await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_missed_very_much_is_told_to_load_anew() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut watcher = Watcher::new(&desk).await;
    let began = watcher.last_id().to_owned();
    sqlx::query(
        "insert into live_events (kind) select 'appointment.bulk' from generate_series(1, 1000)",
    )
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    let visit = book(&clinic, &desk, 0, TEN).await; // which rings
    watcher.hears_at_last("booked", &visit).await;

    let mut back = Watcher::from(&desk, &began).await;

    assert_eq!(back.next().await.unwrap().event, "reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_refused_and_one_from_elsewhere_begins_anew() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for id in ["x", "1", "1-2-3", "-1-2", "99999999999999999999-1"] {
        let request = desk.request(Method::GET, "/live").header("last-event-id", id);
        assert_eq!(desk.send(request).await.expect(400).problem(), "bad-request", "{id}");
    }
    desk.get("/live?last_event_id=x").await.expect(400);

    let mut beyond = Watcher::from(&desk, "9000000000000000000-1").await;

    assert_eq!(beyond.next().await.unwrap().event, "reset");
    let empty = desk.request(Method::GET, "/live").header("last-event-id", "");
    Watcher::of(empty).await;
}
