//! Promise 2 under fire: nothing is booked twice. A crowd books, moves, cancels, reopens, doubles on purpose, waits and takes what
//! it is offered, at two instances that are killed at random; then a checker that knows none of this code looks at what stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use poem::http::Method;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use sqlx::Row;
use tokio::sync::watch;
use uuid::Uuid;

use super::Scene;
use crate::support::{Caller, PASSWORD, Process, SmtpServer, nadi, until};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_booked_twice_by_a_crowd_at_instances_that_are_killed() {
    let seen = let_loose(Crowd { clients: 60, doctors: 5, kills: 6 }).await;
    assert!(seen.booked > 40 && seen.moved > 0 && seen.cancelled > 0, "{seen:?}");
    assert!(seen.refused > 0, "nobody wanted what another had: {seen:?}");
    assert!(seen.in_series > 0 && seen.cut_off > 0, "{seen:?}");
    assert!(seen.waiting > 0 && seen.offered > 0 && seen.accepted > 0, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "500 clients at 20 doctors, and a minute of both cores"]
async fn nothing_is_booked_twice_by_a_crowd_in_full_size() {
    let seen = let_loose(Crowd { clients: 500, doctors: 20, kills: 40 }).await;
    eprintln!("{seen:?}");
}

struct Crowd {
    clients: usize,
    doctors: usize,
    kills: usize,
}

#[derive(Debug)]
struct Seen {
    booked: usize,
    moved: usize,
    cancelled: usize,
    in_series: usize,
    waiting: usize,
    offered: usize,
    accepted: usize,
    refused: usize,
    cut_off: usize,
}

#[derive(Default)]
struct Counts {
    booked: AtomicUsize,
    moved: AtomicUsize,
    cancelled: AtomicUsize,
    in_series: AtomicUsize,
    waiting: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    cut_off: AtomicUsize,
    enough: AtomicBool,
}

/// What a client needs to know of the clinic.
struct Place {
    doctors: Vec<Uuid>,
    patients: Vec<Uuid>,
    host: String,
    addresses: [watch::Receiver<String>; 2],
    counts: Counts,
}

async fn let_loose(crowd: Crowd) -> Seen {
    let mut scene = Scene::new(SmtpServer::up()).await;
    let mut instances = [scene.serve().await, scene.serve().await];
    let doctors = more_doctors(&scene, crowd.doctors).await;
    let mut patients = Vec::new();
    for _ in 0..crowd.clients {
        patients.push(scene.clinic.another_patient().await);
    }
    // An account may not ask as much as a crowd does.
    let desks = desks(&scene, crowd.clients.div_ceil(10)).await;
    let tell = [0, 1].map(|n: usize| watch::channel(instances[n].address.clone()));
    let place = Arc::new(Place {
        doctors,
        patients,
        host: scene.clinic.host.clone(),
        addresses: [tell[0].1.clone(), tell[1].1.clone()],
        counts: Counts::default(),
    });
    let clients: Vec<_> = (0..crowd.clients)
        .map(|n| tokio::spawn(act(n, desks[n % desks.len()].clone(), place.clone())))
        .collect();
    for kill in 0..crowd.kills {
        tokio::time::sleep(Duration::from_millis(300 + rand::random::<u64>() % 700)).await;
        let which = kill % 2;
        instances[which].kill().await;
        instances[which] = Process::serve(&scene.platform.settings()).await;
        tell[which].0.send(instances[which].address.clone()).unwrap();
    }
    place.counts.enough.store(true, SeqCst);
    let mut told = Vec::new();
    for client in clients {
        told.extend(client.await.unwrap());
    }

    let faults =
        nadi::appointments::verify::verify(&mut scene.clinic.connection().await).await.unwrap();
    assert!(faults.is_empty(), "{}", faults.iter().map(|f| format!("{f}\n")).collect::<String>());
    let mut connection = scene.clinic.connection().await;
    let rows = sqlx::query("select id from appointments").fetch_all(&mut connection).await.unwrap();
    let kept: Vec<String> = rows.iter().map(|row| row.get::<Uuid, _>(0).to_string()).collect();
    assert!(told.iter().all(|id| kept.contains(id)), "whoever was told of a booking has it");
    let doctor = nadi(&scene.platform.settings(), &["doctor", "--json"]).await;
    assert!(doctor.stdout.contains("nothing is booked twice at 1 clinics"), "{}", doctor.stdout);
    let offered = holds_are_offers(&scene).await;
    let count = |of: &AtomicUsize| of.load(SeqCst);
    let counts = &place.counts;
    Seen {
        booked: count(&counts.booked),
        moved: count(&counts.moved),
        cancelled: count(&counts.cancelled),
        in_series: count(&counts.in_series),
        waiting: count(&counts.waiting),
        offered,
        accepted: count(&counts.accepted),
        refused: count(&counts.refused),
        cut_off: count(&counts.cut_off),
    }
}

/// What is kept is kept by an open offer, and every open offer keeps its time; whoever was booked from the list has that visit. How
/// many offers there were.
async fn holds_are_offers(scene: &Scene) -> usize {
    // What a dead instance had begun is anybody's once its lease is over: time passes.
    sqlx::query(
        "update outbox set leased_until = now() where done_at is null and leased_until is not null",
    )
    .execute(&mut scene.clinic.connection().await)
    .await
    .unwrap();
    scene.clinic.let_it_be_due(&scene.platform, "chore.time_freed").await;
    let freed =
        "select count(*) from outbox where purpose = 'chore.time_freed' and done_at is null";
    until("whoever waits was asked", async || scene.clinic.count(freed).await == 0).await;
    for faults in [
        "select count(*) from claims c where c.hold_id is not null
         and not exists (select from waitlist_offers o where o.id = c.hold_id and o.status = 'open')",
        "select count(*) from waitlist_offers o where o.status = 'open' and o.until > now()
         and not exists (select from claims c where c.hold_id = o.id and c.subject_id = o.doctor_id)",
        "select count(*) from waitlist w where w.status = 'booked' and not exists (
           select from appointments a where a.id = w.appointment_id and a.patient_id = w.patient_id)",
        "select count(*) from waitlist_offers o join waitlist w on w.id = o.waitlist_id
         where (o.status = 'accepted') <> (w.status = 'booked') and o.status = 'accepted'",
    ] {
        assert_eq!(scene.clinic.count(faults).await, 0, "{faults}");
    }
    scene.clinic.count("select count(*) from waitlist_offers").await as usize
}

/// So many doctors, each like the clinic's own.
async fn more_doctors(scene: &Scene, count: usize) -> Vec<Uuid> {
    let mut connection = scene.clinic.connection().await;
    sqlx::query_scalar(
        "with account as (
           insert into users (id, role, full_name, email)
           select gen_random_uuid(), 'doctor', 'Doctor ' || n, 'doctor-' || n || '@crowd.example' from generate_series(1, $2) as n
           returning id),
         doctor as (
           insert into doctors (id, slot_minutes) select id, 30 from account returning id),
         hours as (
           insert into availability (id, doctor_id, location_id, weekday, starts_at, ends_at)
           select gen_random_uuid(), d.id, a.location_id, a.weekday, a.starts_at, a.ends_at
           from doctor d cross join availability a where a.doctor_id = $1)
         select id from doctor",
    )
    .bind(scene.clinic.doctor)
    .bind(i32::try_from(count).unwrap())
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

/// So many receptionists, signed in.
async fn desks(scene: &Scene, count: usize) -> Vec<Caller> {
    sqlx::query(
        "insert into users (id, role, full_name, email, password_hash)
         select gen_random_uuid(), role, 'Desk ' || n, 'desk-' || n || '@crowd.example', password_hash
         from users, generate_series(0, $1) as n where role = 'receptionist'",
    )
    .bind(i32::try_from(count).unwrap())
    .execute(&mut scene.clinic.connection().await)
    .await
    .unwrap();
    let mut desks = Vec::new();
    for n in 0..count {
        let email = format!("desk-{n}@crowd.example");
        desks.push(scene.clinic.anybody().sign_in(&email, PASSWORD).await);
    }
    desks
}

/// A quarter of an hour of one of two days, so that many want the same; halves of slots overlap two others.
fn some_time() -> String {
    let first: DateTime<Utc> = "2099-01-05T03:30:00Z".parse().unwrap(); // 9:00 in Kolkata
    let (day, quarter) = (rand::random::<u8>() % 2, rand::random::<u8>() % 30);
    let at = first + TimeDelta::days(i64::from(day)) + TimeDelta::minutes(15 * i64::from(quarter));
    at.to_rfc3339()
}

/// One client, until it is enough. The visits that it was told of.
async fn act(n: usize, desk: Caller, place: Arc<Place>) -> Vec<String> {
    let (mut told, mut mine): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut entry: Option<String> = None;
    let counts = &place.counts;
    while !counts.enough.load(SeqCst) {
        let address = place.addresses.choose(&mut rand::rng()).unwrap().borrow().clone();
        let desk = desk.at(&address, &place.host);
        let doctor = *place.doctors.choose(&mut rand::rng()).unwrap();
        let mut visit = json!({
            "patient_id": place.patients[n], "doctor_id": doctor, "kind": "in_person", "starts_at": some_time(),
        });
        if rand::random::<u8>().is_multiple_of(16) {
            visit["overbook"] = json!({ "reason": "an emergency" });
        }
        let standing = mine.choose(&mut rand::rng()).cloned();
        let (request, count) = match (rand::random::<u8>() % 10, standing) {
            (0, Some(standing)) => {
                let path = format!("/appointments/{}", standing["id"].as_str().unwrap());
                (desk.request(Method::DELETE, &path), &counts.cancelled)
            }
            (1, Some(standing)) => {
                let path = format!("/appointments/{}/reopen", standing["id"].as_str().unwrap());
                let reason = json!({ "reason": "a wrong click" });
                (desk.request(Method::POST, &path).json(&reason), &counts.booked)
            }
            (2..=4, Some(standing)) => {
                let path = format!("/appointments/{}", standing["id"].as_str().unwrap());
                let moved = desk.request(Method::PUT, &path).header("if-match", "*").json(&visit);
                (moved, &counts.moved)
            }
            (5, _) => {
                let mut series = visit.clone();
                series["every_days"] = json!(1);
                series["count"] = json!(2);
                let request = desk.request(Method::POST, "/appointments/series").json(&series);
                (request, &counts.in_series)
            }
            (6, _) if entry.is_some() => {
                let path = format!("/waitlist/{}/accept", entry.as_ref().unwrap());
                (desk.request(Method::POST, &path), &counts.accepted)
            }
            (7, _) if entry.is_none() => {
                let body = json!({ "patient_id": place.patients[n], "doctor_id": doctor });
                (desk.request(Method::POST, "/waitlist").json(&body), &counts.waiting)
            }
            (8, _) if entry.is_some() && rand::random::<bool>() => {
                let path = format!("/waitlist/{}", entry.as_ref().unwrap());
                (desk.request(Method::DELETE, &path), &counts.refused)
            }
            _ => (desk.request(Method::POST, "/appointments").json(&visit), &counts.booked),
        };
        let Ok(answer) = request.send().await else {
            counts.cut_off.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
        match status {
            200 | 201 => {
                count.fetch_add(1, SeqCst);
                let body: Value = serde_json::from_str(&text).unwrap_or_default();
                if body["weekdays"].is_array() {
                    let waits = body["status"] == "waiting";
                    entry = body["id"].as_str().filter(|_| waits).map(str::to_owned);
                    continue;
                }
                if std::ptr::eq(count, &counts.accepted) {
                    entry = None;
                }
                let views = body["items"].as_array().cloned().unwrap_or_else(|| vec![body]);
                for view in views.into_iter().filter(|view| view["id"].is_string()) {
                    told.push(view["id"].as_str().unwrap().to_owned());
                    mine.push(view);
                }
            }
            // Taken, changed meanwhile, a step that cannot be; or a server that has just begun.
            409 | 412 | 422 | 429 | 503 => {
                counts.refused.fetch_add(1, SeqCst);
            }
            _ => panic!("{status}: {text}"),
        }
    }
    told
}
