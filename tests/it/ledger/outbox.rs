//! The gate, and the statements of the outbox each by itself.

use chrono::{TimeDelta, Utc};
use nadi::outbox::{self, Delivery, End, Finished, NewMessage, OutboxRow, Start};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::databases::Databases;
use super::{GRACE, MINUTE, execute, message};

fn start(row: &OutboxRow) -> Start {
    let (id, lease_token, before) = (row.id, row.lease_token, Delivery::Expired.into());
    Start { id, lease_token, channel: "sms", provider: "log", before }
}

async fn begin(clinic: &mut PgConnection, row: &OutboxRow) -> Option<i32> {
    outbox::start(clinic, &start(row)).await.unwrap()
}

async fn finish(clinic: &mut PgConnection, row: &OutboxRow, delivery: Delivery) -> Finished {
    outbox::finish(clinic, &End::of(row, &delivery.into())).await.unwrap()
}

#[tokio::test]
async fn the_gate_is_held_until_the_transaction_ends_and_shows_the_row_only_then() {
    let databases = Databases::new().await;
    let mut producer = databases.clinic().await;
    let mut worker = databases.clinic().await;
    let mut tx = producer.begin().await.unwrap();
    sqlx::query(outbox::GATE).execute(&mut *tx).await.unwrap();
    outbox::put(&mut *tx, &message("one", Utc::now())).await.unwrap().unwrap();

    assert!(!outbox::gate_is_free(&mut worker).await.unwrap());
    assert!(outbox::next(&mut worker).await.unwrap().is_none());
    tx.commit().await.unwrap();

    assert!(outbox::gate_is_free(&mut worker).await.unwrap());
    let next = outbox::next(&mut worker).await.unwrap().expect("the row");
    assert!(next.from_now() <= TimeDelta::zero());
}

#[tokio::test]
async fn several_may_be_inside_the_gate_and_asking_keeps_nobody_out() {
    let databases = Databases::new().await;
    let (mut one, mut two) = (databases.clinic().await, databases.clinic().await);
    let mut worker = databases.clinic().await;
    let mut first = one.begin().await.unwrap();
    let mut second = two.begin().await.unwrap();

    assert!(outbox::gate_is_free(&mut worker).await.unwrap());
    for tx in [&mut first, &mut second] {
        sqlx::query(outbox::GATE).execute(&mut **tx).await.unwrap();
    }
    first.rollback().await.unwrap();

    assert!(!outbox::gate_is_free(&mut worker).await.unwrap());
    second.rollback().await.unwrap();
    assert!(outbox::gate_is_free(&mut worker).await.unwrap());
}

/// Why `GATE` may never be taken inside a savepoint.
#[tokio::test]
async fn rolling_back_to_a_savepoint_leaves_a_gate_taken_inside_it() {
    let databases = Databases::new().await;
    let mut producer = databases.clinic().await;
    let mut worker = databases.clinic().await;
    let mut tx = producer.begin().await.unwrap();

    let mut savepoint = tx.begin().await.unwrap();
    sqlx::query(outbox::GATE).execute(&mut *savepoint).await.unwrap();
    assert!(!outbox::gate_is_free(&mut worker).await.unwrap());
    savepoint.rollback().await.unwrap();
    assert!(outbox::gate_is_free(&mut worker).await.unwrap(), "the trap");

    sqlx::query(outbox::GATE).execute(&mut *tx).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    sqlx::query(outbox::GATE).execute(&mut *savepoint).await.unwrap();
    savepoint.rollback().await.unwrap();
    assert!(!outbox::gate_is_free(&mut worker).await.unwrap(), "taken outside, it stays");
}

#[tokio::test]
async fn what_is_next_counts_leased_rows_by_their_lease_and_forgets_what_is_done() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let mut later = message("later", Utc::now() + TimeDelta::hours(1));
    later.subject_id = Uuid::now_v7();
    outbox::put(&mut clinic, &later).await.unwrap().unwrap();
    outbox::put(&mut clinic, &message("now", Utc::now())).await.unwrap().unwrap();
    let seconds = async |clinic: &mut sqlx::PgConnection| {
        let next = outbox::next(clinic).await.unwrap();
        next.map(|next| next.from_now().as_seconds_f64().ceil())
    };

    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    assert_eq!(seconds(&mut clinic).await, Some(60.0));
    let sent = Delivery::Sent { channel: "sms".into() };
    assert_eq!(finish(&mut clinic, &row, sent.clone()).await, Finished::Done);
    assert_eq!(seconds(&mut clinic).await, Some(3600.0));

    assert_eq!(outbox::withdraw(&mut clinic, later.subject_id).await.unwrap(), 1);
    assert_eq!(seconds(&mut clinic).await, None);
}

#[tokio::test]
async fn an_expired_message_is_marked_so_and_handed_to_nobody() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let mut old = message("old", Utc::now() - TimeDelta::hours(2));
    old.expires_at = Utc::now() - TimeDelta::hours(1);
    old.payload_cipher = Some(vec![1]);
    let by_look = outbox::put(&mut clinic, &old).await.unwrap().unwrap();
    old.dedupe_key = "old too".into();
    let by_wake = outbox::put(&mut clinic, &old).await.unwrap().unwrap();

    let alone = outbox::claim_one(&mut clinic, by_wake, MINUTE).await.unwrap();
    let rest = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap();

    assert_eq!((alone.rows.len(), alone.expired), (0, 1));
    assert_eq!((rest.rows.len(), rest.expired), (0, 1));
    let state = "select status || coalesce(length(payload_cipher)::text, '') from outbox
                 where done_at is not null and id = any($1)";
    let states: Vec<String> = sqlx::query_scalar(state)
        .bind(vec![by_look, by_wake])
        .fetch_all(&mut clinic)
        .await
        .unwrap();
    assert_eq!(states, ["expired", "expired"]);
    assert!(outbox::next(&mut clinic).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sender_who_comes_late_changes_nothing() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let new = message("one", Utc::now() - TimeDelta::minutes(1));
    outbox::put(&mut clinic, &new).await.unwrap().unwrap();
    let late = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    assert!(outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(begin(&mut clinic, &late).await, Some(1));

    execute(&mut clinic, "update outbox set leased_until = now() - interval '5 s'").await;
    assert_eq!(begin(&mut clinic, &late).await, None);
    let owner = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);

    assert!((4.0..6.0).contains(&owner.overdue_seconds), "{}", owner.overdue_seconds);
    assert_eq!(begin(&mut clinic, &late).await, None);
    assert!(!outbox::extend_lease(&mut clinic, &late, MINUTE).await.unwrap());
    let ends = [
        Delivery::Sent { channel: "sms".into() },
        Delivery::Failed { error: "no such number".into() },
        Delivery::RetryIn { delay: GRACE, error: "busy".into() },
        Delivery::Expired,
    ];
    for end in &ends {
        assert_eq!(finish(&mut clinic, &late, end.clone()).await, Finished::NotOurs);
    }
    assert!(outbox::extend_lease(&mut clinic, &owner, MINUTE).await.unwrap());
    assert_eq!(begin(&mut clinic, &owner).await, Some(2));
    assert_eq!(outbox::withdraw(&mut clinic, new.subject_id).await.unwrap(), 1);
    assert_eq!(begin(&mut clinic, &owner).await, None);
    assert_eq!(finish(&mut clinic, &owner, ends[0].clone()).await, Finished::NotOurs);
}

#[tokio::test]
async fn a_message_put_back_waits_for_its_next_try_unless_that_comes_too_late() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    outbox::put(&mut clinic, &message("one", Utc::now())).await.unwrap().unwrap();
    let retry = |delay| Delivery::RetryIn { delay, error: "busy".into() };

    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    let put_back = finish(&mut clinic, &row, retry(GRACE).clone()).await;
    let next = outbox::next(&mut clinic).await.unwrap().unwrap().from_now();

    assert_eq!(put_back, Finished::WaitsAgain);
    assert!(next > TimeDelta::seconds(2) && next <= TimeDelta::seconds(3), "{next}");
    assert!(outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().is_empty());

    execute(&mut clinic, "update outbox set due_at = now()").await;
    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    let too_late = finish(&mut clinic, &row, retry(48 * 60 * MINUTE).clone()).await;
    assert_eq!(too_late, Finished::Done);
    assert!(outbox::next(&mut clinic).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_put_once_but_lives_again_after_it_was_withdrawn() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let new = message("reminder", Utc::now() + TimeDelta::hours(1));
    let first = outbox::put(&mut clinic, &new).await.unwrap().unwrap();

    assert_eq!(outbox::put(&mut clinic, &new).await.unwrap(), None);
    outbox::withdraw(&mut clinic, new.subject_id).await.unwrap();
    assert_eq!(outbox::put(&mut clinic, &new).await.unwrap(), Some(first));

    assert!(outbox::next(&mut clinic).await.unwrap().is_some());
}

#[tokio::test]
async fn a_move_takes_the_message_from_its_sender() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    let new = message("one", Utc::now());
    outbox::put(&mut clinic, &new).await.unwrap().unwrap();
    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    let later = NewMessage { due_at: Utc::now() + TimeDelta::seconds(30), ..new };

    assert_eq!(outbox::withdraw(&mut clinic, later.subject_id).await.unwrap(), 1);
    assert_eq!(outbox::put(&mut clinic, &later).await.unwrap(), Some(row.id));

    let sent = Delivery::Sent { channel: "sms".into() };
    assert_eq!(finish(&mut clinic, &row, sent.clone()).await, Finished::NotOurs);
    let next = outbox::next(&mut clinic).await.unwrap().unwrap().from_now();
    assert!(next > TimeDelta::seconds(25) && next <= TimeDelta::seconds(30), "{next}");
}
