//! The wake-up ledger on a real PostgreSQL: its statements, every order of them, the hinter and the worker. That the
//! protocol itself is right is shown in `ledger_model`; here, that the SQL is that protocol.

mod batches;
mod databases;
mod hinting;
mod interleavings;
mod order;
mod outbox;
mod stage;
mod statements;
mod working;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use nadi::outbox::NewMessage;
use nadi::tenancy::wakeups::{self, Lease};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

const GRACE: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_secs(60);

fn message(key: &str, due_at: DateTime<Utc>) -> NewMessage {
    NewMessage {
        purpose: "appointment.booked".into(),
        dedupe_key: key.into(),
        subject_id: Uuid::now_v7(),
        patient_id: None,
        user_id: None,
        payload_cipher: None,
        channels: Vec::new(),
        due_at,
        expires_at: due_at + TimeDelta::days(1),
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

async fn hint(central: &mut PgConnection, clinic_id: Uuid, grace: Duration) {
    wakeups::hint(central, &BTreeMap::from([(clinic_id, grace)])).await.unwrap();
}

/// The lease of the only clinic that is due.
async fn lease_one(central: &mut PgConnection) -> Lease {
    let mut leases = wakeups::lease(central, 10, MINUTE / 2, Uuid::now_v7()).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

/// When the ledger says to look next, in seconds from now; `None`: never.
async fn wakes_in(central: &mut PgConnection) -> Option<f64> {
    let seconds: f64 = sqlx::query_scalar(
        "select case when due_at = 'infinity' then 'infinity'::float8
                     else extract(epoch from due_at - now())::float8 end from wakeups",
    )
    .fetch_one(central)
    .await
    .unwrap();
    seconds.is_finite().then_some(seconds)
}

/// Waits until it is so, and fails the test if that takes too long.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + MINUTE / 2;
    while !is_so().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
