//! What another instance did, and how this one comes to know.

use nadi::tenancy::notices::Notice;
use serde_json::Value;

use super::{SOON, until};
use crate::support::{Frozen, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hears_nothing_looks_for_itself() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    until(&there, 200).await;
    let mut superuser = platform.server.superuser("postgres").await;
    // The listeners' own databases are closed to new ones, so that they stay deaf.
    for sql in [
        format!("alter database {} with allow_connections false", platform.database),
        format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'",
            platform.database
        ),
    ] {
        nadi::tenancy::roles::execute(&mut superuser, sql).await.unwrap();
    }

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    desk.get("/auth/me").await.expect(401);
    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_lost_its_line_hears_again() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let mut superuser = platform.server.superuser("postgres").await;
    for _ in 0..3 {
        let desk = clinic.desk().await;
        let there = desk.at(&second.address, &clinic.host);
        until(&there, 200).await;
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = $1 and application_name = 'nadi listener'",
        )
        .bind(&platform.database)
        .execute(&mut superuser)
        .await
        .unwrap();

        desk.post("/auth/logout", &Value::Null).await.expect(204);

        let took = until(&there, 401).await;
        assert!(took < SOON, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_dead_without_a_word_is_not_trusted() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let desk = clinic.desk().await;
    let there = desk.at(&second.address, &clinic.host);
    let mut superuser = platform.server.superuser("postgres").await;
    let mut listeners: Vec<i32> = Vec::new();
    while listeners.len() < 2 {
        listeners = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = $1 and application_name = 'nadi listener' and query like '%pg_notify%'",
        )
        .bind(&platform.database)
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    }
    // Both hear something before their lines die, so that they trust them.
    let mut central = platform.server.superuser(&platform.database).await;
    Notice::Clinic("nobody".into()).announce(&mut central).await.unwrap();
    for _ in 0..50 {
        there.get("/auth/me").await.expect(200);
    }
    let _frozen = Frozen::new(&mut superuser, &listeners).await;

    desk.post("/auth/logout", &Value::Null).await.expect(204);

    let took = until(&there, 401).await;
    assert!(took < SOON, "{took:?}");
}
