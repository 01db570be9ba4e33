//! Writers and sealers at once, on a clinic's database alone: whatever the order of commits, no row is passed over, and two
//! sealers make one chain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nadi::audit::{Broken, ChainKey, Sealed, seal, verify};
use nadi::crypto::{ClinicKeys, RootKey};
use nadi::tenancy::pools::{Pool, PoolSettings, Server};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{ScratchDatabase, until};

struct Log {
    database: ScratchDatabase,
    key: ChainKey,
}

impl Log {
    async fn new() -> Self {
        let key = ChainKey::of(&ClinicKeys::derive(&RootKey::generate()));
        Self { database: ScratchDatabase::tenant().await, key }
    }

    /// As an instance of its own would have it.
    fn pool(&self) -> Pool {
        let server = Server::new("log", 4, None).unwrap();
        let settings = PoolSettings {
            wait: Duration::from_secs(30), // two hundred writers knock at the same door
            connect_timeout: Duration::from_secs(30),
            ..PoolSettings::new(self.database.options.clone(), Uuid::nil())
        };
        Pool::new(server, settings, Arc::new(|_| Box::pin(async { Ok(()) })))
    }

    async fn seal(&self) -> Sealed {
        seal(&mut self.pool().acquire().await.unwrap(), &self.key).await.unwrap()
    }

    async fn broken(&self) -> Option<Broken> {
        verify(&mut self.database.connect().await, &self.key, None).await.unwrap().broken
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.database.connect().await).await.unwrap()
    }
}

async fn write(conn: &mut PgConnection, rows: i32) {
    sqlx::query(
        "insert into audit_log (action, entity, details)
         select 'test.written', 'test', jsonb_build_object('i', i) from generate_series(1, $1) as i",
    )
    .bind(rows)
    .execute(conn)
    .await
    .unwrap();
}

/// Keeps its transaction open for a while between its rows, so that commits come in another order than rows; some roll back.
async fn writer(options: PgConnectOptions, i: u64) -> u64 {
    let mut conn = options.connect().await.unwrap();
    let mut written = 0;
    for turn in 0..5_u64 {
        let mut tx = conn.begin().await.unwrap();
        write(&mut tx, 1).await;
        let pause = (i * 7 + turn * 13) % 40;
        sqlx::query("select pg_sleep($1)")
            .bind(pause as f64 / 1000.0)
            .execute(&mut *tx)
            .await
            .unwrap();
        write(&mut tx, 2).await;
        match (i + turn) % 9 {
            0 => tx.rollback().await.unwrap(),
            _ => {
                tx.commit().await.unwrap();
                written += 3;
            }
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_writers_and_two_sealers_make_one_whole_chain() {
    let log = Arc::new(Log::new().await);
    let done = Arc::new(AtomicBool::new(false));
    let mut sealers = JoinSet::new();
    for _ in 0..2 {
        let (log, done, pool) = (log.clone(), done.clone(), log.pool());
        sealers.spawn(async move {
            let mut conn = pool.acquire().await.unwrap();
            let mut runs = 0;
            while !done.load(Ordering::Relaxed) {
                seal(&mut conn, &log.key).await.unwrap();
                runs += 1;
            }
            runs
        });
    }
    let mut writers = JoinSet::new();
    for i in 0..200 {
        writers.spawn(writer(log.database.options.clone(), i));
    }

    let written: u64 = writers.join_all().await.into_iter().sum();
    done.store(true, Ordering::Relaxed);
    let runs: Vec<i32> = sealers.join_all().await;
    until("the rest is sealed", async || !log.seal().await.waiting).await;

    assert!(runs.iter().all(|runs| *runs > 1), "they raced: {runs:?}");
    assert_eq!(log.count("select count(*) from audit_log").await as u64, written);
    assert_eq!(log.count("select count(*) from audit_seals").await as u64, written);
    assert_eq!(log.count("select count(distinct log_id) from audit_seals").await as u64, written);
    assert_eq!(log.broken().await, None);
    let out_of_order = "select count(*) from (select log_id, lag(log_id) over (order by n) as before from audit_seals) as s
                        where log_id < before";
    assert!(
        log.count(out_of_order).await > 0,
        "rows were committed in the order of their numbers: nothing was raced"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_waits_for_older_transactions_and_is_not_passed_over() {
    let log = Log::new().await;
    let mut slow = log.database.connect().await;
    let mut open = slow.begin().await.unwrap();
    write(&mut open, 1).await;
    write(&mut log.database.connect().await, 3).await;

    let early = log.seal().await;
    assert!(early.waiting && early.to.is_none(), "{early:?}");
    open.commit().await.unwrap();
    // Other tests write on the same server: one of their transactions may be older still.
    until("all four are sealed", async || log.seal().await.to.is_some_and(|head| head.n == 4))
        .await;

    let order = "select count(*) from audit_seals where n = log_id";
    assert_eq!(log.count(order).await, 4, "the oldest transaction's row is the first");
    assert_eq!(log.broken().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealer_that_dies_in_the_middle_leaves_a_whole_chain_behind() {
    let log = Log::new().await;
    write(&mut log.database.connect().await, 1_200).await; // three pages
    let mut blocker = log.database.connect().await;
    // The second page's links cannot be written: the sealer hangs there.
    let mut block = blocker.begin().await.unwrap();
    sqlx::query("insert into audit_seals values (777, 0, '0', now(), sha256(''))")
        .execute(&mut *block)
        .await
        .unwrap();
    let sealer = tokio::spawn({
        let (pool, key) = (log.pool(), log.key.clone());
        async move {
            let mut conn = pool.acquire().await.unwrap();
            // Other tests' transactions, on the same server, may be older than the rows for a while.
            loop {
                if let Err(error) = seal(&mut conn, &key).await {
                    break error;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let stuck = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    until("it hangs", async || log.count(stuck).await == 1).await;
    assert_eq!(log.count("select count(*) from audit_seals").await, 500);

    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
    let mut superuser = log.database.superuser().await;
    let killed: i64 = sqlx::query_scalar(kill).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(killed, 1);
    sealer.await.unwrap();
    block.rollback().await.unwrap();
    assert_eq!(
        log.count("select count(*) from audit_seals").await,
        500,
        "a page is whole or not there"
    );

    until("the next one finishes", async || {
        log.seal().await.to.is_some_and(|head| head.n == 1_200)
    })
    .await;
    assert_eq!(log.broken().await, None);
}

/// A dump restored where transactions are numbered lower: the log says so, and goes on once it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_from_another_server_goes_on_after_it_was_told() {
    let log = Log::new().await;
    let mut conn = log.database.connect().await;
    write(&mut conn, 3).await;
    until("they are sealed", async || log.seal().await.to.is_some_and(|head| head.n == 3)).await;
    write(&mut conn, 2).await;
    // What numbers of a server with a longer life look like here.
    for sql in [
        "update audit_log set xid = (xid::text::numeric + 10000000000)::text::xid8",
        "update audit_seals set xid = (xid::text::numeric + 10000000000)::text::xid8",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    write(&mut conn, 1).await;
    let verdict = verify(&mut conn, &log.key, None).await.unwrap();
    assert!(verdict.was_moved, "{verdict:?}");

    sqlx::query("select audit_log_was_moved()").execute(&mut conn).await.unwrap();
    write(&mut conn, 1).await;
    until("all are sealed", async || log.seal().await.to.is_some_and(|head| head.n == 7)).await;

    let verdict = verify(&mut conn, &log.key, None).await.unwrap();
    assert_eq!((verdict.broken, verdict.was_moved, verdict.links), (None, false, 7));
}
