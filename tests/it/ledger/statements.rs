//! Each statement of the ledger by itself, and the traps that PostgreSQL sets.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use chrono::TimeDelta;
use nadi::tenancy::{instances, wakeups};
use sqlx::Connection;
use tokio::time::timeout;
use uuid::Uuid;

use super::databases::{Databases, register_clinic};
use super::{GRACE, MINUTE, execute, hint, lease_one, wakes_in};

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
async fn a_clinic_that_is_not_open_keeps_its_wake_up_until_it_is() {
    let databases = Databases::new().await;
    let mut central = databases.central().await;
    hint(&mut central, databases.clinic_id, Duration::ZERO).await;

    for status in ["suspended", "archived"] {
        execute(&mut central, &format!("update clinics set status = '{status}'")).await;
        let leases = wakeups::lease(&mut central, 10, MINUTE, Uuid::now_v7()).await.unwrap();
        assert!(leases.is_empty(), "{status}");
        assert!(wakes_in(&mut central).await.unwrap() <= 0.0, "{status}");
    }
    execute(&mut central, "update clinics set status = 'active'").await;
    assert_eq!(lease_one(&mut central).await.hints, 1);
}
