//! Each statement by itself, and the traps that PostgreSQL sets.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nadi::outbox::{self, Delivery, Finished};
use nadi::tenancy::{instances, wakeups};
use sqlx::Connection;
use tokio::time::timeout;
use uuid::Uuid;

use super::databases::{Databases, register_clinic};
use super::{GRACE, MINUTE, execute, hint, lease_one, message, wakes_in};

#[tokio::test]
async fn a_write_back_wakes_for_what_is_next_and_soon_if_anything_stirred() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let hour = TimeDelta::hours(1);
    for gate_free in [true, false] {
        for hinted in [false, true] {
            let quiet = gate_free && !hinted;
            let cases = [
                (None, if quiet { None } else { Some(3.0) }),
                (Some(-hour), Some(0.0)),
                (Some(TimeDelta::zero()), Some(0.0)),
                (Some(TimeDelta::seconds(2)), Some(2.0)),
                (Some(hour), Some(if quiet { 3600.0 } else { 3.0 })),
            ];
            for (next_in, expected) in cases {
                hint(&mut central, databases.clinic_id, Duration::ZERO).await;
                let lease = lease_one(&mut central).await;
                if hinted {
                    hint(&mut central, databases.clinic_id, GRACE).await;
                }

                let written =
                    wakeups::write_back(&mut central, &lease, gate_free, next_in, GRACE).await;

                assert!(written.unwrap());
                let case = format!("next {next_in:?}, free {gate_free}, hinted {hinted}");
                match (wakes_in(&mut central).await, expected) {
                    (None, None) => {}
                    (Some(wakes), Some(expected)) => {
                        assert!((expected - 1.0..=expected).contains(&wakes), "{case}: {wakes}");
                    }
                    other => panic!("{case}: {other:?}"),
                }
                assert!(
                    !wakeups::write_back(&mut central, &lease, true, None, GRACE).await.unwrap()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_lease_is_exclusive_until_it_lapses_and_leaves_the_wake_up_alone() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    hint(&mut central, databases.clinic_id, Duration::ZERO).await;

    let first = lease_one(&mut central).await;

    assert!(!first.swept);
    assert!(wakes_in(&mut central).await.unwrap() <= 0.0);
    let nobody = wakeups::lease(&mut central, 10, MINUTE, Uuid::now_v7()).await.unwrap();
    assert!(nobody.is_empty());
    assert_eq!(wakeups::heartbeat(&mut central, &first, MINUTE).await.unwrap(), Some(first.hints));

    execute(&mut central, "update wakeups set leased_until = now()").await;
    let second = lease_one(&mut central).await;

    assert_ne!(first.lease_token, second.lease_token);
    assert_eq!(wakeups::heartbeat(&mut central, &first, MINUTE).await.unwrap(), None);
    assert!(!wakeups::write_back(&mut central, &first, true, None, GRACE).await.unwrap());
    assert!(!wakeups::unreachable(&mut central, &first).await.unwrap());
    assert_eq!(
        wakeups::heartbeat(&mut central, &second, MINUTE).await.unwrap(),
        Some(second.hints)
    );
}

#[tokio::test]
async fn a_hint_lowers_the_wake_up_and_never_raises_it() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;

    hint(&mut central, databases.clinic_id, MINUTE).await;
    assert!(wakes_in(&mut central).await.unwrap() > 50.0);
    hint(&mut central, databases.clinic_id, GRACE).await;
    hint(&mut central, databases.clinic_id, MINUTE).await;

    assert!(wakes_in(&mut central).await.unwrap() <= 3.0);
    let hints: i64 =
        sqlx::query_scalar("select hints from wakeups").fetch_one(&mut central).await.unwrap();
    assert_eq!(hints, 3);
}

#[tokio::test]
async fn hints_for_many_clinics_are_one_statement_and_pass_over_one_that_is_gone() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let other = register_clinic(&mut central).await;
    let gone = Uuid::now_v7();

    let graces = BTreeMap::from([(databases.clinic_id, GRACE), (other, MINUTE), (gone, GRACE)]);
    wakeups::hint(&mut central, &graces).await.unwrap();

    let known: Vec<Uuid> = sqlx::query_scalar(
        "select clinic_id from wakeups where due_at < 'infinity' order by due_at",
    )
    .fetch_all(&mut central)
    .await
    .unwrap();
    assert_eq!(known, [databases.clinic_id, other]);
}

#[tokio::test]
async fn a_clinic_out_of_reach_is_tried_again_after_pauses_that_grow_to_five_minutes() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let mut longest = 0.0_f64;
    for failures in 0..12 {
        hint(&mut central, databases.clinic_id, Duration::ZERO).await;
        let lease = lease_one(&mut central).await;

        assert!(wakeups::unreachable(&mut central, &lease).await.unwrap());

        let wakes = wakes_in(&mut central).await.unwrap();
        let pause = f64::min(300.0, f64::powi(2.0, failures));
        assert!((pause / 2.0 - 0.5..=pause).contains(&wakes), "after {failures}: {wakes}");
        longest = longest.max(wakes);
    }
    assert!(longest >= 149.0);
}

#[tokio::test]
async fn a_sweep_looks_at_a_clinic_that_nobody_hinted() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    assert_eq!(wakeups::add_missing(&mut central).await.unwrap(), 1);
    assert_eq!(wakeups::add_missing(&mut central).await.unwrap(), 0);

    let lease = lease_one(&mut central).await;

    assert!(lease.swept);
    assert!(wakeups::write_back(&mut central, &lease, true, None, GRACE).await.unwrap());
    let minutes: f64 =
        sqlx::query_scalar("select extract(epoch from sweep_at - now())::float8 / 60 from wakeups")
            .fetch_one(&mut central)
            .await
            .unwrap();
    assert!((54.9..=65.0).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn an_instance_that_died_without_a_goodbye_has_every_clinic_swept_soon() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let (living, leaving, dead) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    for instance in [living, leaving, dead] {
        instances::sign_in(&mut central, instance).await.unwrap();
    }
    wakeups::add_missing(&mut central).await.unwrap();
    let far = "update wakeups set sweep_at = now() + interval '1 hour'";
    let soon = "select sweep_at < now() + interval '10 min' from wakeups";
    let ago = "update instances set seen_at = now() - interval '1 hour' where id <> $1";

    execute(&mut central, far).await;
    instances::sign_out(&mut central, leaving).await.unwrap();
    assert_eq!(instances::bury(&mut central, instances::DEAD_AFTER).await.unwrap(), 0);
    assert!(!sqlx::query_scalar::<_, bool>(soon).fetch_one(&mut central).await.unwrap());

    sqlx::query(ago).bind(living).execute(&mut central).await.unwrap();
    assert_eq!(instances::bury(&mut central, instances::DEAD_AFTER).await.unwrap(), 1);
    assert!(sqlx::query_scalar::<_, bool>(soon).fetch_one(&mut central).await.unwrap());
    assert_eq!(instances::bury(&mut central, instances::DEAD_AFTER).await.unwrap(), 0);

    execute(&mut central, far).await;
    assert_eq!(wakeups::sweep_soon(&mut central).await.unwrap(), 1);
    assert!(sqlx::query_scalar::<_, bool>(soon).fetch_one(&mut central).await.unwrap());
}

#[tokio::test]
async fn a_write_back_waits_for_a_hint_in_progress_and_then_sees_it() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    let mut hinting = databases.central().await;
    hint(&mut central, databases.clinic_id, Duration::ZERO).await;
    let lease = lease_one(&mut central).await;
    let mut open = hinting.begin().await.unwrap();
    hint(&mut open, databases.clinic_id, GRACE).await;

    let mut watching = databases.central().await;
    {
        let mut write_back = pin!(wakeups::write_back(&mut central, &lease, true, None, GRACE));
        let it_waits = async {
            let asked = "select exists (select from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock')";
            while !sqlx::query_scalar::<_, bool>(asked).fetch_one(&mut watching).await.unwrap() {}
        };
        tokio::select! {
            biased;
            _ = &mut write_back => panic!("it did not wait"),
            waits = timeout(MINUTE, it_waits) => waits.expect("it waits for the row"),
        }
        open.commit().await.unwrap();
        assert!(write_back.await.unwrap());
    }

    let wakes = wakes_in(&mut central).await.expect("the hint is not deleted");
    assert!(wakes <= 3.0);
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
    assert_eq!(outbox::finish(&mut clinic, &row, &sent).await.unwrap(), Finished::Done);
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
    assert_eq!(outbox::start_attempt(&mut clinic, &late, "sms", "log").await.unwrap(), Some(1));

    execute(&mut clinic, "update outbox set leased_until = now() - interval '5 s'").await;
    assert_eq!(outbox::start_attempt(&mut clinic, &late, "sms", "log").await.unwrap(), None);
    let owner = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);

    assert!((4.0..6.0).contains(&owner.overdue_seconds), "{}", owner.overdue_seconds);
    assert_eq!(outbox::start_attempt(&mut clinic, &late, "sms", "log").await.unwrap(), None);
    assert!(!outbox::extend_lease(&mut clinic, &late, MINUTE).await.unwrap());
    let ends = [
        Delivery::Sent { channel: "sms".into() },
        Delivery::Failed { error: "no such number".into() },
        Delivery::RetryIn { delay: GRACE, error: "busy".into() },
        Delivery::Expired,
    ];
    for end in &ends {
        assert_eq!(outbox::finish(&mut clinic, &late, end).await.unwrap(), Finished::NotOurs);
    }
    assert!(outbox::extend_lease(&mut clinic, &owner, MINUTE).await.unwrap());
    assert_eq!(outbox::start_attempt(&mut clinic, &owner, "sms", "log").await.unwrap(), Some(2));
    assert_eq!(outbox::withdraw(&mut clinic, new.subject_id).await.unwrap(), 1);
    assert_eq!(outbox::start_attempt(&mut clinic, &owner, "sms", "log").await.unwrap(), None);
    assert_eq!(outbox::finish(&mut clinic, &owner, &ends[0]).await.unwrap(), Finished::NotOurs);
}

#[tokio::test]
async fn a_message_put_back_waits_for_its_next_try_unless_that_comes_too_late() {
    let databases = Databases::new().await;
    let mut clinic = databases.clinic().await;
    outbox::put(&mut clinic, &message("one", Utc::now())).await.unwrap().unwrap();
    let retry = |delay| Delivery::RetryIn { delay, error: "busy".into() };

    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    let put_back = outbox::finish(&mut clinic, &row, &retry(GRACE)).await.unwrap();
    let next = outbox::next(&mut clinic).await.unwrap().unwrap().from_now();

    assert_eq!(put_back, Finished::WaitsAgain);
    assert!(next > TimeDelta::seconds(2) && next <= TimeDelta::seconds(3), "{next}");
    assert!(outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().is_empty());

    execute(&mut clinic, "update outbox set due_at = now()").await;
    let row = outbox::claim(&mut clinic, 10, MINUTE).await.unwrap().rows.remove(0);
    let too_late = outbox::finish(&mut clinic, &row, &retry(48 * 60 * MINUTE)).await.unwrap();
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
    let due_at = Utc::now() + TimeDelta::seconds(30);
    let expires_at = due_at + TimeDelta::hours(1);

    let moved =
        outbox::move_to(&mut clinic, new.subject_id, &new.purpose, due_at, expires_at).await;

    assert_eq!(moved.unwrap(), 1);
    let sent = Delivery::Sent { channel: "sms".into() };
    assert_eq!(outbox::finish(&mut clinic, &row, &sent).await.unwrap(), Finished::NotOurs);
    let next = outbox::next(&mut clinic).await.unwrap().unwrap().from_now();
    assert!(next > TimeDelta::seconds(25) && next <= TimeDelta::seconds(30), "{next}");
}
