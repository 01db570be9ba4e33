//! The pools against a real PostgreSQL: the budget holds, nothing dirty is handed on, a lost connection is not noticed,
//! a database that is down is its own clinics' trouble alone.

mod budget;
mod closing;
mod cluster;
mod connecting;
mod handing_on;
mod lost;
mod waiting;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nadi::tenancy::pools::{Conn, Handshake, Pool, PoolSettings, Server};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

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
