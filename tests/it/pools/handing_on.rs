//! Which connection the next caller may have, and which is closed.

use futures_util::StreamExt;
use nadi::tenancy::pools::{Pool, PoolSettings};

use super::cluster::Cluster;
use super::{any, pid, pid_of, server, settings, until};

#[tokio::test]
async fn a_statement_that_was_cut_off_closes_its_connection() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("cut_off").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let before = pid_of(&pool).await;

    let sleeper = pool.clone();
    let sleeper = tokio::spawn(async move {
        let mut conn = sleeper.acquire().await.unwrap();
        sqlx::query("select pg_sleep(60)").execute(&mut conn).await
    });
    until("it sleeps", || cluster.busy("cut_off", 1)).await;
    sleeper.abort();

    let after = pid_of(&pool).await;
    assert_ne!(before, after);
    until("its backend has gone", || async { !cluster.alive(before).await }).await;
}

#[tokio::test]
async fn rows_left_half_read_close_their_connection() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("half_read").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let before = pid_of(&pool).await;

    let mut conn = pool.acquire().await.unwrap();
    let mut rows = sqlx::query("select generate_series(1, 1000000)").fetch(&mut conn);
    assert!(rows.next().await.unwrap().is_ok());
    drop(rows);
    drop(conn);

    assert_ne!(pid_of(&pool).await, before);
}

#[tokio::test]
async fn a_failed_statement_does_not_cost_the_connection() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("failed_statement").await;
    let pool = Pool::new(server(4), settings(connect), any());
    let before = pid_of(&pool).await;

    let mut conn = pool.acquire().await.unwrap();
    for sql in
        ["select 1 / 0", "select no_such_column", "select 1 / (3 - g) from generate_series(1, 5) g"]
    {
        assert!(sqlx::query(sql).fetch_all(&mut conn).await.is_err());
    }
    drop(conn);

    assert_eq!(pid_of(&pool).await, before);
}

#[tokio::test]
async fn a_transaction_that_was_not_committed_is_rolled_back_and_its_connection_closed() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("not_committed").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("create table visits (id int)").execute(&mut conn).await.unwrap();
    let before = pid(&mut conn).await;

    conn.begin_with("").await.unwrap();
    sqlx::query("insert into visits values (1)").execute(&mut conn).await.unwrap();
    assert!(conn.in_transaction());
    drop(conn);

    let mut conn = pool.acquire().await.unwrap();
    assert_ne!(pid(&mut conn).await, before);
    let visits: i64 =
        sqlx::query_scalar("select count(*) from visits").fetch_one(&mut conn).await.unwrap();
    assert_eq!(visits, 0);
}

#[tokio::test]
async fn a_finished_transaction_gives_its_connection_back() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("finished").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let before = pid_of(&pool).await;

    let mut conn = pool.acquire().await.unwrap();
    conn.begin_with("select 1").await.unwrap();
    conn.commit().await.unwrap();
    conn.begin_with("").await.unwrap();
    assert!(sqlx::query("select 1 / 0").execute(&mut conn).await.is_err());
    conn.rollback().await.unwrap();
    drop(conn);

    assert_eq!(pid_of(&pool).await, before);
}

#[tokio::test]
async fn a_commit_never_hides_that_the_transaction_was_aborted() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("aborted").await;
    let pool = Pool::new(server(4), settings(connect), any());
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("create table visits (id int unique deferrable initially deferred)")
        .execute(&mut conn)
        .await
        .unwrap();

    // Aborted, and not caught.
    conn.begin_with("insert into visits values (1)").await.unwrap();
    assert!(sqlx::query("select 1 / 0").execute(&mut conn).await.is_err());
    let error = conn.commit().await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("25P02"));
    assert!(conn.in_transaction());
    conn.rollback().await.unwrap();

    // Caught by a savepoint.
    conn.begin_with("insert into visits values (2)").await.unwrap();
    sqlx::query("savepoint s").execute(&mut conn).await.unwrap();
    assert!(sqlx::query("select 1 / 0").execute(&mut conn).await.is_err());
    sqlx::query("rollback to savepoint s").execute(&mut conn).await.unwrap();
    conn.commit().await.unwrap();

    // A deferred constraint speaks at commit, which ends the transaction.
    conn.begin_with("insert into visits values (2)").await.unwrap();
    let error = conn.commit().await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
    assert!(!conn.in_transaction());

    let visits: Vec<i32> =
        sqlx::query_scalar("select id from visits").fetch_all(&mut conn).await.unwrap();
    assert_eq!(visits, [2]);
}

#[tokio::test]
async fn a_connection_used_raw_is_not_handed_on() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("raw_use").await;
    let pool = Pool::new(server(4), PoolSettings { max_open: 1, ..settings(connect) }, any());
    let mut conn = pool.acquire().await.unwrap();
    let before = pid(&mut conn).await;

    sqlx::query("set work_mem = '1MB'").execute(conn.raw()).await.unwrap();
    assert_eq!(pid(&mut conn).await, before);
    drop(conn);

    assert_ne!(pid_of(&pool).await, before);
}

#[tokio::test]
async fn statements_stay_unnamed_behind_a_pooler() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("unnamed").await;
    for (persistent, named) in [(true, 1_i64), (false, 0)] {
        let settings = PoolSettings { persistent, ..settings(connect.clone()) };
        let pool = Pool::new(server(2), settings, any());
        let mut conn = pool.acquire().await.unwrap();
        sqlx::query("select $1").bind(1).execute(&mut conn).await.unwrap();

        let count = "select count(*) from pg_prepared_statements where statement = 'select $1'";
        let kept: i64 = sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap();

        assert_eq!(kept, named);
    }
}
