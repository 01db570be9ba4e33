//! Links that set a password.

use std::time::{Duration, Instant};

use nadi::auth::{Role, links};
use serde_json::json;
use sqlx::PgConnection;

use super::{PASSWORD, log_in};
use crate::support::TestClinic;

async fn link(inside: &mut PgConnection, clinic: &TestClinic) -> String {
    links::put(&mut *inside, clinic.account(Role::Doctor)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_link_is_good_once_and_in_time() {
    let (_platform, clinic) = TestClinic::new().await;
    let (anybody, before) = (clinic.anybody(), clinic.caller(Role::Doctor).await);
    let mut inside = clinic.connection().await;
    let set = async |token: &str, password: &str| {
        anybody.post("/auth/set-password", &json!({ "token": token, "password": password })).await
    };
    let token = link(&mut inside, &clinic).await;
    for (password, code) in [
        ("password123", "too_common"),
        ("1234567890", "too_common"),
        ("short", "too_short"),
        ("nul\0 in the middle", "invalid_characters"),
    ] {
        let refused = set(&token, password).await.expect(422);
        assert_eq!(refused.faults(), [("/password".to_owned(), code.to_owned())], "{password}");
    }

    set(&token, "मानसून की पहली बारिश").await.expect(204);

    before.get("/auth/me").await.expect(401);
    log_in(&anybody, "doctor@shanti.example", PASSWORD).await.expect(401);
    log_in(&anybody, "doctor@shanti.example", "मानसून की पहली बारिश").await.expect(200);
    let again = set(&token, "monsoon harvest lamp").await.expect(401);
    assert_eq!(again.problem(), "link-expired");
    let (older, newer) = (link(&mut inside, &clinic).await, link(&mut inside, &clinic).await);
    set(&older, "monsoon harvest lamp").await.expect(401);
    sqlx::query("update password_links set expires_at = now() where used_at is null")
        .execute(&mut inside)
        .await
        .unwrap();
    set(&newer, "monsoon harvest lamp").await.expect(401);
    set("nonsense", "monsoon harvest lamp").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_two_use_at_once_sets_one_password() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let token = link(&mut clinic.connection().await, &clinic).await;
    let set = |password: &str| {
        let body = json!({ "token": token, "password": password });
        let anybody = anybody.clone();
        async move { anybody.post("/auth/set-password", &body).await.status.as_u16() }
    };

    let (a, b) = tokio::join!(set("monsoon harvest lamp"), set("another lamp altogether"));

    let mut both = [a, b];
    both.sort();
    assert_eq!(both, [204, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_by_the_old_password_is_not_let_in_after_the_new_one() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = clinic.account(Role::Doctor);
    let mut inside = clinic.connection().await;
    sqlx::query("begin").execute(&mut inside).await.unwrap();
    sqlx::query("select 1 from users where id = $1 for update")
        .bind(doctor)
        .execute(&mut inside)
        .await
        .unwrap();
    // It finds the old password good, and then waits.
    let late =
        tokio::spawn(async move { log_in(&anybody, "doctor@shanti.example", PASSWORD).await });
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while clinic.count(waiting).await == 0 {
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    for statement in [
        "update users set password_hash = 'another' where id = $1",
        "delete from sessions where user_id = $1",
    ] {
        sqlx::query(statement).bind(doctor).execute(&mut inside).await.unwrap();
    }
    sqlx::query("commit").execute(&mut inside).await.unwrap();

    assert_eq!(late.await.unwrap().expect(401).problem(), "invalid-credentials");
    assert_eq!(clinic.count("select count(*) from sessions").await, 0);
}
