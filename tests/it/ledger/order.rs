//! The order of a look's steps on real databases: `hints`, then the gate (G2), then what is next (N). The worker is held
//! between its steps, and somebody slips in just there; in any other order the message would be lost.

use chrono::Utc;
use nadi::outbox;
use sqlx::{Connection, PgConnection};

use super::databases::Databases;
use super::working::{Office, quick};
use super::{execute, hint, message, until, wakes_in};
use nadi::tenancy::hinter::Hinter;
use std::time::Duration;

/// A clinic whose gate cannot be asked while the test holds the door: in front of PostgreSQL's own function stands
/// another, which first waits at the door.
struct Doored {
    office: Office,
    door: PgConnection,
}

impl Doored {
    async fn with_the_door_held() -> Self {
        let databases = Databases::new().await;
        let mut clinic = databases.clinic().await;
        execute(
            &mut clinic,
            "create schema doored;
             create function doored.pg_try_advisory_xact_lock(a integer, b integer) returns boolean
             language plpgsql as $$
             begin
               perform pg_catalog.pg_advisory_xact_lock_shared(5, 5);
               return pg_catalog.pg_try_advisory_xact_lock(a, b);
             end $$;
             do $$ begin
               execute format('alter database %I set search_path = doored, public, pg_catalog', current_database());
             end $$",
        )
        .await;
        let mut door = databases.clinic().await;
        execute(&mut door, "select pg_advisory_lock(5, 5)").await;
        let hinter = Hinter::start(databases.central.clone());
        Self { office: Office::with(databases, hinter, quick()), door }
    }

    async fn let_through(&mut self) {
        execute(&mut self.door, "select pg_advisory_unlock(5, 5)").await;
    }

    /// Waits until a statement of the worker waits in the clinic's database, and has for so long.
    async fn until_held(&self, what: &str, seconds: f64) {
        until(what, async || {
            let waits = "select exists (select from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'
                           and clock_timestamp() - query_start >= make_interval(secs => $1))";
            let clinic = &mut self.office.databases.clinic().await;
            sqlx::query_scalar(waits).bind(seconds).fetch_one(clinic).await.unwrap()
        })
        .await;
    }
}

#[tokio::test]
async fn the_gate_is_asked_before_what_is_next() {
    let mut clinic = Doored::with_the_door_held().await;
    let databases = &clinic.office.databases;
    let mut producer = databases.clinic().await;
    let mut tx = producer.begin().await.unwrap();
    sqlx::query(outbox::GATE).execute(&mut *tx).await.unwrap();
    hint(&mut databases.central().await, databases.clinic_id, Duration::ZERO).await;
    outbox::put(&mut *tx, &message("one", Utc::now())).await.unwrap();

    // The look finds nothing to send. It must not have asked what is next before the gate tells it that all is quiet.
    let running = clinic.office.run();
    clinic.until_held("the look is at the gate", 0.0).await;
    tx.commit().await.unwrap();
    clinic.let_through().await;
    clinic.office.until_at_rest().await;
    clinic.office.stop.cancel();
    running.await.unwrap();

    assert_eq!(clinic.office.statuses().await, ["sent"]);
    assert_eq!(clinic.office.worker.missed(), 0);
}

#[tokio::test]
async fn hints_are_read_before_the_gate_is_asked() {
    let mut clinic = Doored::with_the_door_held().await;
    let databases = &clinic.office.databases;
    hint(&mut databases.central().await, databases.clinic_id, Duration::ZERO).await;

    // The look lasts for more than a second, so that it reads `hints` once more; and it is to do so before the gate.
    let running = clinic.office.run();
    clinic.until_held("the look is at the gate", 1.2).await;
    let mut keeper = clinic.office.databases.clinic().await;
    let mut keeping = keeper.begin().await.unwrap();
    execute(&mut keeping, "lock table outbox in access exclusive mode").await;
    clinic.let_through().await;
    clinic.until_held("the gate was free, and the look asks what is next", 0.0).await;
    let databases = &clinic.office.databases;
    let mut producer = databases.clinic().await;
    let mut tx = producer.begin().await.unwrap();
    sqlx::query(outbox::GATE).execute(&mut *tx).await.unwrap();
    hint(&mut databases.central().await, databases.clinic_id, Duration::from_millis(200)).await;
    keeping.rollback().await.unwrap();
    until("the look is over", async || {
        let over = "select lease_token is null from wakeups";
        sqlx::query_scalar(over).fetch_one(&mut databases.central().await).await.unwrap()
    })
    .await;
    let wakes = wakes_in(&mut databases.central().await).await;
    assert!(wakes.is_some(), "somebody hinted since `hints` was read: it looks again");
    outbox::put(&mut *tx, &message("one", Utc::now())).await.unwrap();
    tx.commit().await.unwrap();
    clinic.office.until_at_rest().await;
    clinic.office.stop.cancel();
    running.await.unwrap();

    assert_eq!(clinic.office.statuses().await, ["sent"]);
}
