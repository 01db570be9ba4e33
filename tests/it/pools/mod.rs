//! The pools against a real PostgreSQL: the budget holds, nothing dirty is handed on, a lost connection is not noticed,
//! a database that is down is its own clinics' trouble alone.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nadi::tenancy::pools::{
    AcquireError, Conn, Handshake, HandshakeError, Pool, PoolSettings, Server,
};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Barrier;
use uuid::Uuid;

mod cluster;

use cluster::Cluster;

const LONG: Duration = Duration::from_secs(60);

fn any() -> Handshake {
    Arc::new(|_| Box::pin(async { Ok(()) }))
}

fn server(budget: usize) -> Arc<Server> {
    Server::new("test", budget, None).unwrap()
}

/// A server with a witness, so that PostgreSQL's own count can be held against the budget.
fn watched(cluster: &Cluster, budget: usize) -> Arc<Server> {
    Server::new("test", budget, Some(cluster.connect("postgres"))).unwrap()
}

fn settings(connect: PgConnectOptions) -> PoolSettings {
    PoolSettings { max_open: 4, ..PoolSettings::new(connect, Uuid::nil()) }
}

async fn pid(conn: &mut Conn) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(conn).await.unwrap()
}

async fn pid_of(pool: &Pool) -> i32 {
    pid(&mut pool.acquire().await.unwrap()).await
}

/// Polls until it is so.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

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
async fn who_waits_too_long_hears_busy_and_who_gives_up_leaves_nothing_behind() {
    let cluster = Cluster::shared().await;
    let connect = cluster.database("busy").await;
    let server = server(1);
    let short = PoolSettings { wait: Duration::from_millis(50), ..settings(connect) };
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
