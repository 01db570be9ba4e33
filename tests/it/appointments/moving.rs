//! What a change keeps, and what two changes at once do to each other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::life::step;
use super::{HALF_PAST, TEN};
use crate::support::TestClinic;

const ELEVEN: &str = "2099-01-05T05:30:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_stays_keeps_why_it_was_overbooked() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let mut squeezed = clinic.visit_of(clinic.patients[1], TEN);
    squeezed["overbook"] = json!({ "reason": "came from far" });
    let visit = desk.post("/appointments", &squeezed).await.expect(201);
    let path = format!("/appointments/{}", visit.id());

    let mut told = visit.body.clone();
    told["reason"] = json!("a cough since Monday");
    let changed = desk.put(&path, "*", &told).await.expect(200);

    assert_eq!(
        (&changed.body["overbooked"], &changed.body["reason"]),
        (&json!(true), &told["reason"])
    );
    assert_eq!(desk.get(&path).await.body["overbooked"], true);
    let kept = "select count(*) from appointments where overbook_reason = 'came from far'";
    assert_eq!(clinic.count(kept).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_moves_with_its_length() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut therapy = clinic.visit(TEN);
    therapy["duration_minutes"] = json!(60);
    let visit = desk.post("/appointments", &therapy).await.expect(201);
    let path = format!("/appointments/{}", visit.id());
    assert_eq!(visit.body["duration_minutes"], 60);

    let mut later = visit.body.clone();
    later["starts_at"] = json!(HALF_PAST);
    let moved = desk.put(&path, "*", &later).await.expect(200);
    let again = desk.put(&path, "*", &clinic.visit(ELEVEN)).await.expect(200);

    assert_eq!(moved.body["ends_at"], "2099-01-05T06:00:00Z", "as the view said");
    assert_eq!(again.body["ends_at"], "2099-01-05T06:30:00Z", "as it stood");
    let mut others = clinic.visit_of(clinic.patients[1], ELEVEN);
    others["starts_at"] = json!(ELEVEN);
    let others = desk.put(&path, "*", &others).await.expect(422);
    assert_eq!(others.faults(), [("/patient_id".to_owned(), "read_only".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_come_to_another_place_is_told() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let elsewhere =
        admin.post("/locations", &json!({ "name": "Elsewhere" })).await.expect(201).id();
    let hours = json!({ "items": [
        { "location_id": elsewhere, "weekday": 1, "starts_at": "09:00", "ends_at": "17:00" },
    ]});
    let availability = format!("/doctors/{}/availability", clinic.doctor);
    admin.put(&availability, "*", &hours).await.expect(200);
    let path = format!("/appointments/{}", visit.id());
    step(&desk, &visit.id(), "confirm").await.expect(200);
    let mut video = clinic.visit(TEN);
    video["kind"] = json!("video");

    let moved = desk.put(&path, "*", &video).await.expect(200);

    assert_eq!(moved.body["location_id"], json!(elsewhere));
    assert_eq!(moved.body["status"], "booked", "nobody has confirmed that place");
    let told = "select count(*) from outbox where purpose = 'appointment.moved'";
    assert_eq!(clinic.count(told).await, 1);
}

/// Waits until somebody in this database waits for a lock.
async fn until_somebody_waits(clinic: &TestClinic) {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while clinic.count(waiting).await == 0 {
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_a_visit_without_the_locks_of_its_doctor() {
    let (_platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let second = json!({ "full_name": "Dr. Second", "email": "second@shanti.example" });
    let second = admin.post("/doctors", &second).await.expect(201);
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let path = format!("/appointments/{}", visit.id());
    let mut inside = clinic.connection().await;
    let lock = clinic.patients[0].as_u64_pair().1 as i64;
    sqlx::query("begin").execute(&mut inside).await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)").bind(lock).execute(&mut inside).await.unwrap();
    let body = clinic.visit(HALF_PAST);
    let moving = tokio::spawn(async move { desk.put(&path, "*", &body).await });
    until_somebody_waits(&clinic).await;

    sqlx::query("update appointments set doctor_id = $1::uuid, version = version + 1")
        .bind(second.id())
        .execute(&mut inside)
        .await
        .unwrap();
    sqlx::query("commit").execute(&mut inside).await.unwrap();

    assert_eq!(moving.await.unwrap().expect(409).problem(), "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_lost_a_race_is_tried_again() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let path = format!("/appointments/{}", visit.id());
    let mut inside = clinic.connection().await;
    for statement in [
        "create sequence race",
        "create function lose_the_first_race() returns trigger language plpgsql security definer as $$
         begin
           if nextval('race') % 2 = 1 then raise exception 'a deadlock' using errcode = '40P01'; end if;
           return new;
         end $$",
        "create trigger lose_the_first_race before update on appointments
         for each row execute function lose_the_first_race()",
    ] {
        sqlx::query(statement).execute(&mut inside).await.unwrap();
    }

    let moved = desk.put(&path, "*", &clinic.visit(HALF_PAST)).await.expect(200);
    let cancelled = desk.delete(&path).await.expect(200);

    assert_eq!(moved.body["starts_at"], HALF_PAST);
    assert_eq!(
        (&cancelled.body["status"], clinic.count("select count(*) from claims").await),
        (&Value::from("cancelled"), 0)
    );
    assert_eq!(clinic.count("select last_value from race").await, 4, "each was tried twice");
}
