//! Hints of one process: together where they can be, owed where they must be, lost nowhere.

use std::time::Duration;

use futures_util::future::join_all;
use nadi::tenancy::hinter::{Hinted, Hinter};
use sqlx::{Connection, PgConnection};

use super::databases::{Databases, register_clinic};
use super::{GRACE, MINUTE, hint, until, wakes_in};

async fn hints(central: &mut PgConnection) -> i64 {
    let sum = "select coalesce(sum(hints), 0)::bigint from wakeups";
    sqlx::query_scalar(sum).fetch_one(central).await.unwrap()
}

#[tokio::test]
async fn a_hint_is_in_the_ledger_when_it_is_answered() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let hinter = Hinter::start(databases.central.clone());

    // The first one connects, which may take longer than a commit waits on a busy machine.
    hinter.hint(databases.clinic_id, MINUTE).await;
    assert_eq!(hinter.drain(MINUTE).await, 0);
    let hinted = hinter.hint(databases.clinic_id, GRACE).await;

    assert_eq!(hinted, Hinted::Made);
    assert_eq!(hinter.owed(), 0);
    assert!(wakes_in(&mut central).await.unwrap() <= 3.0);
}

#[tokio::test]
async fn who_asks_while_a_hint_is_on_its_way_shares_the_next_one() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let mut blocking = databases.central().await;
    let other = register_clinic(&mut central).await;
    hint(&mut central, databases.clinic_id, MINUTE).await;
    let hinter = Hinter::start(databases.central.clone());
    let mut open = blocking.begin().await.unwrap();
    sqlx::query("select from wakeups for update").execute(&mut *open).await.unwrap();

    let first = hinter.hint(databases.clinic_id, MINUTE);
    let watching = tokio::sync::Mutex::new(databases.central().await);
    until("the first hint waits for the row", async || {
        let asked = "select exists (select from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock')";
        sqlx::query_scalar(asked).fetch_one(&mut *watching.lock().await).await.unwrap()
    })
    .await;
    let rest = join_all(
        (0..50).map(|n| hinter.hint(if n % 2 == 0 { databases.clinic_id } else { other }, GRACE)),
    );
    open.commit().await.unwrap();
    tokio::join!(first, rest);
    assert_eq!(hinter.drain(MINUTE).await, 0);

    // One by hand, the first, and one for each of the two clinics that all the others share.
    assert_eq!(hints(&mut central).await, 4);
    assert_eq!(hinter.owed(), 0);
}

#[tokio::test]
async fn central_away_stops_nobody_and_gets_its_hints_when_it_is_back() {
    let databases = Databases::new().await;
    let hinter = Hinter::start(databases.central.clone());
    hinter.hint(databases.clinic_id, GRACE).await;
    assert_eq!(hinter.drain(MINUTE).await, 0);
    let before = hints(&mut databases.central().await).await;

    databases.central_answers(false).await;
    assert_eq!(hinter.hint(databases.clinic_id, GRACE).await, Hinted::Owed);
    assert_eq!(hinter.hint(databases.clinic_id, Duration::ZERO).await, Hinted::Owed);
    assert_eq!(hinter.owed(), 1, "clinics, not hints");
    assert_eq!(hinter.drain(Duration::from_millis(50)).await, 1);

    databases.central_answers(true).await;
    assert_eq!(hinter.drain(MINUTE).await, 0);
    assert_eq!(hinter.owed(), 0);
    let mut central = databases.central().await;
    assert!(hints(&mut central).await > before);
    assert!(wakes_in(&mut central).await.unwrap() <= 0.0);
    assert_eq!(hinter.hint(databases.clinic_id, GRACE).await, Hinted::Made);
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_unseen() {
    let databases = Databases::new().await;
    let hinter = Hinter::start(databases.central.clone());
    hinter.hint(databases.clinic_id, GRACE).await;
    assert_eq!(hinter.drain(MINUTE).await, 0);

    databases.central_answers(true).await; // throws everybody out
    hinter.hint(databases.clinic_id, GRACE).await;

    assert_eq!(hinter.drain(MINUTE).await, 0);
    assert_eq!(hints(&mut databases.central().await).await, 2);
}

#[tokio::test]
async fn a_hint_that_nobody_waits_for_any_more_is_made_all_the_same() {
    let databases = Databases::new().await;
    let hinter = Hinter::start(databases.central.clone());

    drop(hinter.hint(databases.clinic_id, GRACE));

    assert_eq!(hinter.drain(MINUTE).await, 0);
    assert_eq!(hints(&mut databases.central().await).await, 1);
}
