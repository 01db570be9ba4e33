//! However many pools there are, the budget of their server holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use nadi::tenancy::pools::{AcquireError, Pool, PoolSettings};
use tokio::sync::Barrier;

use super::cluster::Cluster;
use super::{LONG, any, pid, pid_of, server, settings, until, watched};

/// Counts, over and over, the backends in databases whose name begins so, and keeps the greatest number.
struct Census {
    most: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Census {
    async fn of(cluster: &Cluster, prefix: &'static str) -> Census {
        let (most, looks, stop) = (Arc::default(), Arc::default(), Arc::<AtomicBool>::default());
        let mut conn = cluster.superuser("postgres").await;
        let (kept, counted, halt) = (Arc::clone(&most), Arc::clone(&looks), stop.clone());
        let task = tokio::spawn(async move {
            while !halt.load(SeqCst) {
                let now: i64 =
                    sqlx::query_scalar("select count(*) from pg_stat_activity where datname ^@ $1")
                        .bind(prefix)
                        .fetch_one(&mut conn)
                        .await
                        .unwrap();
                AtomicUsize::fetch_max(&kept, now as usize, SeqCst);
                AtomicUsize::fetch_add(&counted, 1, SeqCst);
            }
        });
        Census { most, looks, stop, task }
    }

    async fn close(self) -> usize {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap();
        assert!(self.looks.load(SeqCst) > 10, "hardly looked");
        self.most.load(SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pools_stay_within_a_budget_of_twenty() {
    let cluster = Cluster::shared().await;
    let server = watched(&cluster, 20);
    let mut pools = Vec::new();
    for database in 0..20 {
        let database = cluster.database(&format!("budget_{database}")).await;
        for _ in 0..10 {
            let settings = PoolSettings { wait: LONG, ..settings(database.clone()) };
            pools.push(Pool::new(server.clone(), settings, any()));
        }
    }
    let pools = Arc::new(pools);
    let census = Census::of(&cluster, "budget_").await;

    let tasks = (0..64_usize).map(|task| {
        let pools = pools.clone();
        tokio::spawn(async move {
            for turn in 0..50_usize {
                let pool = &pools[(task * 37 + turn * 83) % pools.len()];
                let mut conn = pool.acquire().await.expect("a connection");
                let one: i32 = sqlx::query_scalar("select $1").bind(7).fetch_one(&mut conn).await?;
                assert_eq!(one, 7);
            }
            Ok::<_, sqlx::Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }

    let most = census.close().await;
    let figures = server.figures();
    assert!(most <= 19, "besides the witness, PostgreSQL saw {most} connections");
    assert!(figures.open <= figures.budget && figures.budget == 19, "{figures:?}");
    assert!(figures.evicted > 100, "the budget was hardly felt: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_pools_leave_each_other_their_connections() {
    let cluster = Cluster::shared().await;
    let server = watched(&cluster, 13);
    let mut pools = Vec::new();
    for database in 0..4 {
        let settings = settings(cluster.database(&format!("busy_{database}")).await);
        pools.push(Pool::new(server.clone(), PoolSettings { wait: LONG, ..settings }, any()));
    }
    let pools = Arc::new(pools);

    let tasks = (0..32_usize).map(|task| {
        let pools = pools.clone();
        tokio::spawn(async move {
            for turn in 0..100_usize {
                let mut conn = pools[(task + turn) % pools.len()].acquire().await.unwrap();
                sqlx::query("select 1").execute(&mut conn).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }

    let figures = server.figures();
    assert!(figures.opened < 320, "3200 uses of four pools took {} connects", figures.opened);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_statements_stay_within_the_budget_until_their_backends_end() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("abandoned").await;
    let server = watched(&cluster, 4);
    let settings = PoolSettings { wait: LONG, ..settings(connect) };
    let pool = Pool::new(server.clone(), settings, any());
    let census = Census::of(&cluster, "abandoned").await;

    for _ in 0..3 {
        let sleepers = (0..3).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut conn = pool.acquire().await.unwrap();
                sqlx::query("select pg_sleep(60)").execute(&mut conn).await
            })
        });
        let sleepers: Vec<_> = sleepers.collect();
        until("all sleep", || cluster.busy("abandoned", 3)).await;
        for sleeper in &sleepers {
            sleeper.abort();
        }
    }
    let mut conn = pool.acquire().await.expect("a connection, long before the sleepers would wake");

    assert!(pid(&mut conn).await > 0);
    let most = census.close().await;
    assert!(most <= 3, "besides the witness, PostgreSQL saw {most} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_transactions_as_the_budget_run_at_once_and_finish() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("at_once").await;
    let server = server(20);
    let together = Arc::new(Barrier::new(20));

    let transactions = (0..20).map(|n| {
        let pool = Pool::new(server.clone(), settings(connect.clone()), any());
        let together = together.clone();
        tokio::spawn(async move {
            let mut conn = pool.acquire().await.unwrap();
            conn.begin_with("select set_config('nadi.actor', 'x', true)").await?;
            together.wait().await;
            let (number, actor): (i32, String) =
                sqlx::query_as("select $1, current_setting('nadi.actor')")
                    .bind(n)
                    .fetch_one(&mut conn)
                    .await?;
            assert_eq!((number, actor.as_str()), (n, "x"));
            conn.commit().await
        })
    });
    for transaction in transactions.collect::<Vec<_>>() {
        transaction.await.unwrap().unwrap();
    }

    assert!(server.open_connections() <= 20);
}

#[tokio::test]
async fn a_share_set_aside_is_not_used_up_by_others() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("shared_out").await;
    let server = server(3);
    let central = server.set_aside("central", 1).unwrap();
    assert!(server.set_aside("too much", 2).is_err());
    let short = PoolSettings { wait: Duration::from_millis(50), ..settings(connect) };
    let clinics = Pool::new(server.clone(), short.clone(), any());
    let (_a, _b) = (clinics.acquire().await.unwrap(), clinics.acquire().await.unwrap());
    assert!(matches!(clinics.acquire().await, Err(AcquireError::Busy { .. })));

    let central = Pool::new(central, short, any());

    assert!(pid_of(&central).await > 0);
}
