//! How a session goes on, and how it ends.

use chrono::TimeDelta;
use nadi::auth::Role;
use serde_json::{Value, json};

use super::{PASSWORD, SOON, log_in, refresh, until};
use crate::support::{TestClinic, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_tabs_that_refresh_at_once_all_stay_signed_in() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let token = json!(desk.refresh_token);

    let answers = futures_util::future::join_all((0..20).map(|_| refresh(&desk, &token))).await;

    let successor = answers[0].body["refresh_token"].clone();
    assert_ne!(successor, token);
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.body["refresh_token"], successor, "never a second branch");
        assert_eq!(answer.body["session_id"], answers[0].body["session_id"]);
        let mut tab = clinic.anybody();
        tab.token = answer.body["access_token"].as_str().map(str::to_owned);
        tab.get("/auth/me").await.expect(200);
    }
    let next = refresh(&desk, &successor).await.expect(200);
    assert_ne!(next.body["refresh_token"], successor);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_ends_the_session() {
    let (_platform, clinic) = TestClinic::new().await;
    let mut inside = clinic.connection().await;

    // An ancestor, however young.
    let desk = clinic.desk().await;
    let first = json!(desk.refresh_token);
    let second = refresh(&desk, &first).await.expect(200).body["refresh_token"].clone();
    let third = refresh(&desk, &second).await.expect(200).body["refresh_token"].clone();
    desk.get("/auth/me").await.expect(200);
    assert_eq!(refresh(&desk, &first).await.expect(401).problem(), "refresh-token-reused");
    desk.get("/auth/me").await.expect(401);
    assert_eq!(refresh(&desk, &third).await.expect(401).problem(), "unauthenticated");

    // The immediate predecessor, once its ten seconds have passed.
    let desk = clinic.desk().await;
    let first = json!(desk.refresh_token);
    refresh(&desk, &first).await.expect(200);
    refresh(&desk, &first).await.expect(200);
    sqlx::query("update sessions set rotated_at = rotated_at - interval '11 seconds'")
        .execute(&mut inside)
        .await
        .unwrap();
    assert_eq!(refresh(&desk, &first).await.expect(401).problem(), "refresh-token-reused");
    desk.get("/auth/me").await.expect(401);

    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'session.stolen'").await,
        2
    );
    for nonsense in ["", "x", "AAAA"] {
        let answer = refresh(&desk, &json!(nonsense)).await;
        assert!([401, 422].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    let mut forged = first.as_str().unwrap().to_owned();
    forged.replace_range(24..25, if &forged[24..25] == "A" { "B" } else { "A" });
    assert_eq!(refresh(&desk, &json!(forged)).await.expect(401).problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_here_before_its_answer_and_elsewhere_within_a_second() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    desk.get("/auth/me").await.expect(200);
    until(&there, 200).await;

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    desk.get("/auth/me").await.expect(401);
    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
    refresh(&desk, &json!(desk.refresh_token)).await.expect(401);
    desk.post("/auth/logout", &Value::Null).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_against_requests_already_on_their_way() {
    let (_platform, clinic) = TestClinic::new().await;
    for _ in 0..20 {
        let desk = clinic.desk().await;
        // Loads of a session that nobody has cached, under way while it ends.
        let loads = (0..6).map(|_| desk.get("/auth/me"));
        let (_, logout) = tokio::join!(
            futures_util::future::join_all(loads),
            desk.post("/auth/logout", &Value::Null)
        );
        logout.expect(204);

        desk.get("/auth/me").await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_all_ends_every_session_of_that_account_alone() {
    let (_platform, clinic) = TestClinic::new().await;
    let (phone, laptop, other) = (clinic.desk().await, clinic.desk().await, clinic.admin().await);

    phone.post("/auth/logout-all", &Value::Null).await.expect(204);

    phone.get("/auth/me").await.expect(401);
    laptop.get("/auth/me").await.expect(401);
    refresh(&laptop, &json!(laptop.refresh_token)).await.expect(401);
    other.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one_each_by_its_owner() {
    let (_platform, clinic) = TestClinic::new().await;
    let (phone, laptop, other) = (clinic.desk().await, clinic.desk().await, clinic.admin().await);

    let listed = phone.get("/auth/sessions").await.expect(200);
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{}", listed.text);
    assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
    assert_eq!(items[0]["address"], "127.0.0.1");
    let laptops =
        items.iter().find(|item| item["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("/auth/sessions/{laptops}");
    other.delete(&path).await.expect(404);
    laptop.get("/auth/me").await.expect(200);

    phone.delete(&path).await.expect(204);

    laptop.get("/auth/me").await.expect(401);
    phone.get("/auth/me").await.expect(200);
    phone.delete(&path).await.expect(404);
    phone.delete("/auth/sessions/not-an-id").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_is_out() {
    let platform = TestPlatform::new().await;
    let second = platform.another_instance().await;
    let owner = platform.platform_account(Role::ClinicOwner).await;
    let there = owner.at(&second.address, "admin.localhost");
    until(&there, 200).await;
    let admin = platform.super_admin().await;
    let path = format!("/clinic-admins/{}/status", owner.account_id.as_deref().unwrap());

    let suspended = admin.patch(&path, "*", &json!({ "status": "suspended" })).await.expect(200);

    assert_eq!(suspended.body["status"], "suspended");
    owner.get("/auth/me").await.expect(401);
    assert!(until(&there, 401).await < SOON);
    refresh(&owner, &json!(owner.refresh_token)).await.expect(401);
    let email = suspended.body["email"].as_str().unwrap();
    log_in(&platform.anybody("admin.localhost"), email, PASSWORD).await.expect(401);
    admin.patch(&path, suspended.header("etag"), &json!({ "status": "active" })).await.expect(200);
    log_in(&platform.anybody("admin.localhost"), email, PASSWORD).await.expect(200);
    owner.get("/auth/me").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_session_outlives_its_first_access_token() {
    let (platform, clinic) = TestClinic::new().await;
    let mut desk = clinic.desk().await;
    platform.clock.advance(TimeDelta::minutes(20));
    desk.get("/auth/me").await.expect(401);

    let fresh = refresh(&desk, &json!(desk.refresh_token)).await.expect(200);

    desk.token = fresh.body["access_token"].as_str().map(str::to_owned);
    desk.get("/auth/me").await.expect(200);
}
