//! Connections that died while nobody looked.

use nadi::tenancy::pools::{Pool, PoolSettings};

use super::cluster::Cluster;
use super::{any, pid, pid_of, server, settings};

#[tokio::test]
async fn a_restart_of_the_server_between_two_reads_goes_unnoticed() {
    let cluster = Cluster::start().await;
    let connect = cluster.database("restarted").await;
    let pool = Pool::new(server(4), settings(connect), any());
    let (mut a, mut b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let (before_a, before_b) = (pid(&mut a).await, pid(&mut b).await);
    drop((a, b));

    let cluster = cluster.restart().await;

    // A read, and a transaction.
    let after = pid_of(&pool).await;
    assert!(after != before_a && after != before_b);
    let (_kept, mut conn) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    conn.begin_with("create table visits ()").await.unwrap();
    sqlx::query("insert into visits default values").execute(&mut conn).await.unwrap();
    conn.commit().await.unwrap();
    assert_eq!(pool.server().figures().repeated, 2);
    drop(cluster);
}

#[tokio::test]
async fn a_backend_ended_while_idle_goes_unnoticed_by_reads_and_by_lone_writes() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("ended_idle").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("create table visits (id int)").execute(&mut conn).await.unwrap();
    let before = pid(&mut conn).await;
    drop(conn);

    cluster.terminate(before).await;
    let after = pid_of(&pool).await;
    assert_ne!(after, before);

    cluster.terminate(after).await;
    let mut conn = pool.acquire().await.unwrap();
    // It cannot have been run, so even this is safe to send again.
    sqlx::query("insert into visits values ($1)")
        .bind(1)
        .execute(conn.never_repeat())
        .await
        .unwrap();
    let visits: i64 =
        sqlx::query_scalar("select count(*) from visits").fetch_one(&mut conn).await.unwrap();
    assert_eq!(visits, 1);
    assert_eq!(pool.server().figures().repeated, 2);
    assert_eq!(pool.figures().open, 1);
}

#[tokio::test]
async fn a_statement_is_not_repeated_once_the_connection_has_answered() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("not_repeated").await;
    let pool = Pool::new(server(4), settings(connect), any());
    let mut conn = pool.acquire().await.unwrap();
    let before = pid(&mut conn).await;

    cluster.terminate(before).await;

    assert!(sqlx::query("select 1").execute(&mut conn).await.is_err());
    drop(conn);
    assert_ne!(pid_of(&pool).await, before);
    assert_eq!(pool.server().figures().repeated, 0);
}
