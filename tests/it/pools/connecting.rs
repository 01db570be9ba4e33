//! Connections that are refused, given up, or never come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nadi::tenancy::pools::{AcquireError, Handshake, HandshakeError, Pool, PoolSettings};
use sqlx::postgres::PgConnectOptions;

use super::cluster::Cluster;
use super::{any, pid, pid_of, server, settings, until, watched};

#[tokio::test]
async fn another_clinics_database_is_refused_and_its_connection_closed() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("refused").await.application_name("refused");
    let server = watched(&cluster, 4);
    let stranger: Handshake = Arc::new(|conn| {
        Box::pin(async {
            let name: String =
                sqlx::query_scalar("select current_database()").fetch_one(conn).await?;
            Err(HandshakeError::Mismatch(format!("{name} is another clinic's")))
        })
    });
    let pool = Pool::new(server.clone(), settings(connect), stranger);

    let error = pool.acquire().await.unwrap_err();

    assert!(
        matches!(&error, AcquireError::Refused(how) if &**how == "refused is another clinic's")
    );
    assert_eq!(server.open_connections(), 0);
    assert_eq!(cluster.count("refused").await, 0);
}

#[tokio::test]
async fn callers_that_give_up_while_connecting_leak_no_permit() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("gives_up").await;
    let server = server(2);
    let pool = Pool::new(server.clone(), settings(connect), any());

    for _ in 0..50 {
        let mut given_up = Box::pin(pool.acquire());
        let _ = futures_util::poll!(&mut given_up);
    }
    assert_eq!(server.waiting(), 0);

    let (mut a, mut b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    assert_ne!(pid(&mut a).await, pid(&mut b).await);
    assert_eq!(server.open_connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_answers_at_once_holds_nothing_and_comes_back() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("down").await;
    let healthy = cluster.database("healthy").await;
    let server = server(2);
    let pool = Pool::new(server.clone(), settings(connect), any());
    let neighbour = Pool::new(server.clone(), settings(healthy), any());
    cluster.run("alter database down allow_connections false").await;

    let mut unreachable = 0;
    let began = Instant::now();
    for _ in 0..20 {
        let burst = futures_util::future::join_all((0..20).map(|_| pool.acquire())).await;
        unreachable +=
            burst.iter().filter(|r| matches!(r, Err(AcquireError::Unreachable(_)))).count();
        pid_of(&neighbour).await;
    }
    let attempts = server.figures().failed;
    let fair_share = 2 + began.elapsed().as_millis() as u64 / 200;
    assert_eq!(unreachable, 400);
    assert!(attempts <= fair_share, "{attempts} attempts, at most {fair_share} were due");
    assert_eq!((pool.figures().open, server.open_connections()), (0, 1));

    cluster.run("alter database down allow_connections true").await;
    until("it is back", || async { pool.acquire().await.is_ok() }).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_one_permit() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let connect = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
    let server = server(8);
    let settings = PoolSettings {
        wait: Duration::from_millis(100),
        connect_timeout: Duration::from_millis(500),
        ..settings(connect)
    };
    let pool = Pool::new(server.clone(), settings, any());

    let callers = futures_util::future::join_all((0..10).map(|_| pool.acquire())).await;

    assert!(callers.iter().all(|r| matches!(r, Err(AcquireError::Busy { .. }))));
    assert_eq!(server.open_connections(), 1);
    until("the attempt ends", || async { server.open_connections() == 0 }).await;
    assert!(matches!(pool.acquire().await, Err(AcquireError::Unreachable(_))));
}
