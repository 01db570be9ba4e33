//! Who comes next, who makes room, who is told that it is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use nadi::tenancy::pools::{AcquireError, Pool, PoolSettings};

use super::cluster::Cluster;
use super::{LONG, any, pid, pid_of, server, settings, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_with_a_hundred_callers_does_not_keep_another_waiting() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("fair").await;
    let server = server(2);
    let settings = PoolSettings { wait: LONG, ..settings(connect) };
    let crowd = Pool::new(server.clone(), settings.clone(), any());
    let single = Pool::new(server.clone(), settings, any());
    let served = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (crowd, served) = (crowd.clone(), served.clone());
            tokio::spawn(async move {
                let mut conn = crowd.acquire().await.unwrap();
                sqlx::query("select pg_sleep(0.02)").execute(&mut conn).await.unwrap();
                served.fetch_add(1, SeqCst);
            })
        })
        .collect();
    until("the crowd has it all", || async { served.load(SeqCst) > 4 }).await;
    assert!(server.waiting() > 60 && crowd.figures().open == 2);

    let before = served.load(SeqCst);
    pid_of(&single).await;
    let meanwhile = served.load(SeqCst) - before;

    assert!(meanwhile <= 30, "{meanwhile} of the crowd were served first");
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn the_connection_idle_longest_makes_room() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("makes_room").await;
    let server = server(2);
    let pool = || Pool::new(server.clone(), settings(connect.clone()), any());
    let (first, second, third) = (pool(), pool(), pool());
    let old = pid_of(&first).await;
    let young = pid_of(&second).await;

    pid_of(&third).await;

    assert_eq!(pid_of(&second).await, young);
    assert_eq!(first.figures().open, 0);
    assert_eq!(server.figures().evicted, 1);
    until("the older one has gone", || async { !cluster.alive(old).await }).await;
}

#[tokio::test]
async fn a_short_wait_closes_no_connection_of_another_pool() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("short_wait").await;
    let server = server(4);
    let pool = || Pool::new(server.clone(), settings(connect.clone()), any());
    let (rich, poor) = (pool(), pool());
    let all: Vec<_> = futures_util::future::join_all((0..3).map(|_| rich.acquire())).await;
    drop(all);
    let own = poor.acquire().await.unwrap();
    {
        let mut waits = Box::pin(poor.acquire());
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(own);
        waits.await.unwrap();
    }
    assert_eq!((server.figures().evicted, server.figures().opened), (0, 4));

    // Where its own does not come back, one of the other's is closed for it.
    let (own, another) = (poor.acquire().await.unwrap(), poor.acquire().await.unwrap());
    assert_eq!((server.figures().evicted, server.figures().opened), (1, 5));
    drop((own, another));
}

#[tokio::test]
async fn beside_a_busy_pool_another_uses_its_share_at_once_and_more_after_a_wait() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("share").await;
    let server = server(20);
    let pool = || Pool::new(server.clone(), settings(connect.clone()), any());
    let (crowd, other) = (pool(), pool());
    drop(futures_util::future::join_all((0..3).map(|_| other.acquire())).await);
    // Alone a pool has as many as it may hold, at once.
    let all: Vec<_> = futures_util::future::join_all((0..4).map(|_| crowd.acquire())).await;

    let (mut one, two) = (other.acquire().await.unwrap(), other.acquire().await.unwrap());
    let first = pid(&mut one).await;
    let mut again = {
        let mut waits = Box::pin(other.acquire());
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(one);
        waits.await.unwrap()
    };

    assert_eq!(pid(&mut again).await, first);
    assert_eq!(server.figures().opened, 7);
    // Who waits in vain has the idle one, then a new one.
    let (third, fourth) = (other.acquire().await.unwrap(), other.acquire().await.unwrap());
    assert_eq!(server.figures().opened, 8);
    drop((all, again, two, third, fourth));
    assert_eq!((server.figures().idle, server.waiting()), (8, 0));
    // Alone again, also beside a pool whose connection did not come back fit, it has all of its own at once.
    let mut spoilt = crowd.acquire().await.unwrap();
    spoilt.raw();
    drop(spoilt);
    let at_once: Vec<_> = (0..4).filter_map(|_| other.acquire().now_or_never()).collect();
    assert_eq!(at_once.len(), 4);
}

#[tokio::test]
async fn who_waits_too_long_hears_busy_and_who_gives_up_leaves_nothing_behind() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("busy").await;
    let server = server(1);
    // Long enough for a busy machine to open one.
    let short = PoolSettings { wait: Duration::from_secs(1), ..settings(connect) };
    let pool = Pool::new(server.clone(), short.clone(), any());
    let other = Pool::new(server.clone(), short, any());
    let mut conn = pool.acquire().await.unwrap();
    let before = pid(&mut conn).await;

    assert!(matches!(other.acquire().await, Err(AcquireError::Busy { .. })));
    assert!(matches!(pool.acquire().await, Err(AcquireError::Busy { .. })));
    {
        let mut given_up = Box::pin(pool.acquire());
        assert!(futures_util::poll!(&mut given_up).is_pending());
        // It is given the connection, and never looks.
        drop(conn);
    }

    assert_eq!(pid_of(&pool).await, before);
    let figures = server.figures();
    assert_eq!((figures.open, figures.waiting, figures.busy), (1, 0, 2));
}
