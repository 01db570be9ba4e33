//! Pools and connections that end.

use std::time::Duration;

use nadi::tenancy::pools::{AcquireError, Pool, PoolSettings};

use super::cluster::Cluster;
use super::{any, pid, pid_of, server, settings, until};

#[tokio::test]
async fn a_pool_closed_while_in_use_lets_the_use_finish() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("closed").await;
    let server = server(3);
    let pool = Pool::new(server.clone(), PoolSettings { max_open: 2, ..settings(connect) }, any());
    let (mut conn, idle) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    drop(idle);
    assert_eq!((pool.figures().open, pool.figures().idle), (2, 1));

    pool.close();

    until("the idle one has gone", || async { server.open_connections() == 1 }).await;
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
    assert!(pid(&mut conn).await > 0);
    drop(conn);
    until("all have gone", || async { server.open_connections() == 0 }).await;
}

#[tokio::test]
async fn a_pool_that_nobody_holds_closes_its_connections() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("dropped").await;
    let server = server(3);
    let pool = Pool::new(server.clone(), settings(connect), any());
    let mut conn = pool.acquire().await.unwrap();

    drop(pool);

    assert!(pid(&mut conn).await > 0);
    drop(conn);
    until("all have gone", || async { server.open_connections() == 0 }).await;
    assert_eq!((server.figures().opened, server.figures().closed), (1, 1));
}

#[tokio::test]
async fn idle_and_old_connections_are_closed() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("retired").await;
    let server = server(3);
    let fleeting = PoolSettings { idle: Duration::ZERO, ..settings(connect.clone()) };
    let aged = PoolSettings { lifetime: Duration::ZERO, ..settings(connect) };

    let pool = Pool::new(server.clone(), fleeting, any());
    pid_of(&pool).await;
    server.reap();
    until("the idle one has gone", || async { server.open_connections() == 0 }).await;

    let pool = Pool::new(server.clone(), aged, any());
    // Handed to who waits even so, or nobody would ever get one; then closed.
    pid_of(&pool).await;
    until("the old one has gone", || async { server.open_connections() == 0 }).await;
}
