//! A clinic that nobody visits gives up its connections, then its place; whoever comes next finds it open.

use std::sync::Arc;
use std::time::Duration;

use nadi::ids::ClinicId;
use nadi::tenancy::directory::Idle;
use nadi::tenancy::hinter::Hinter;
use nadi::tenancy::{Clinic, Directory, roles};
use nadi::worker::FastPath;

use crate::support::{Options, TestPlatform, until};

/// A directory of the test's own, with little patience.
fn directory(platform: &TestPlatform, idle: Idle) -> Directory {
    let core = &platform.core;
    Directory::new(
        core.central.clone(),
        core.settings.clone(),
        core.clock.clone(),
        core.notices.clone(),
        Hinter::start(core.central.home.clone()),
        FastPath::default(),
        idle,
    )
}

/// As PostgreSQL counts them.
async fn connections(platform: &TestPlatform, clinic: ClinicId) -> i64 {
    sqlx::query_scalar("select count(*) from pg_stat_activity where usename = $1")
        .bind(roles::database_name(clinic))
        .fetch_one(&mut platform.server.superuser("postgres").await)
        .await
        .unwrap()
}

async fn patients(clinic: &Arc<Clinic>) -> i64 {
    let mut conn = clinic.read().await.unwrap();
    sqlx::query_scalar("select count(*) from patients").fetch_one(&mut conn).await.unwrap()
}

#[tokio::test]
async fn an_idle_clinic_gives_up_its_connections_and_keeps_its_place() {
    let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
    let id = platform.clinic("shanti").await.id;
    let connection = Duration::from_millis(100);
    let directory = directory(&platform, Idle { connection, ..Idle::default() });
    let clinic = directory.clinic("shanti").await.unwrap();
    let (a, b) = tokio::join!(clinic.read(), clinic.read());
    assert_eq!(connections(&platform, id).await, 2);

    // One is in use: however long it takes, it is nobody's to close.
    drop(a.unwrap());
    let mut in_use = b.unwrap();
    until("the idle one is closed", async || connections(&platform, id).await == 1).await;
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut in_use).await.unwrap();
    assert_eq!(one, 1);
    drop(in_use);
    until("the other one, too", async || connections(&platform, id).await == 0).await;

    directory.tidy().await;
    assert_eq!(directory.known(), 1);
    assert!(Arc::ptr_eq(&clinic, &directory.clinic("shanti").await.unwrap()), "the same handle");
    assert_eq!(patients(&clinic).await, 2);
}

#[tokio::test]
async fn a_clinic_idle_for_longer_gives_up_its_pool_and_opens_again() {
    let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
    let id = platform.clinic("shanti").await.id;
    let directory =
        directory(&platform, Idle { clinic: Duration::from_secs(1), ..Idle::default() });
    let first = directory.clinic("shanti").await.unwrap();
    assert_eq!(patients(&first).await, 2);
    assert_eq!(connections(&platform, id).await, 1, "idle, and not for a minute yet");

    until("it is forgotten", async || {
        directory.tidy().await;
        directory.known() == 0
    })
    .await;
    assert_eq!(patients(&first).await, 2, "who still works with it ends in peace");
    drop(first);
    until("its pool is closed with its last user", async || {
        directory.tidy().await;
        connections(&platform, id).await == 0
    })
    .await;

    let again = directory.clinic("shanti").await.unwrap();
    assert_eq!(patients(&again).await, 2);
}
