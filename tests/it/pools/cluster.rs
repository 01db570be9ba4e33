//! A PostgreSQL as the pools' tests need it: with a superuser who sees all backends, and one that can be restarted.

use nadi::embedded;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::support::TestServer;

pub struct Cluster {
    superuser_url: String,
    /// A server of this test's own, where it wants to restart it.
    own: Option<(embedded::Cluster, tempfile::TempDir)>,
}

impl Cluster {
    /// The run's server: each test has databases of its own in it.
    pub async fn shared() -> Cluster {
        let server = TestServer::shared().await;
        Cluster { superuser_url: server.superuser_url.clone(), own: None }
    }

    /// A server that nobody else uses.
    pub async fn start() -> Cluster {
        Cluster::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: tempfile::TempDir) -> Cluster {
        let mut settings = embedded::Settings::new(folder.path().join("pg"));
        settings.extra.push(("fsync".into(), "off".into()));
        let cluster = embedded::Cluster::start(settings).await.unwrap();
        let superuser_url = cluster.superuser_url("postgres");
        Cluster { superuser_url, own: Some((cluster, folder)) }
    }

    pub async fn restart(mut self) -> Cluster {
        let (cluster, folder) = self.own.take().expect("only a server of one's own is restarted");
        cluster.stop().await.unwrap();
        Cluster::start_in(folder).await
    }

    pub fn connect(&self, database: &str) -> PgConnectOptions {
        self.superuser_url.parse::<PgConnectOptions>().unwrap().database(database)
    }

    pub async fn superuser(&self, database: &str) -> PgConnection {
        self.connect(database).connect().await.unwrap()
    }

    /// An empty database. What an earlier run left of it goes.
    pub async fn database(&self, name: &str) -> PgConnectOptions {
        self.run(&format!("drop database if exists {name} with (force)")).await;
        self.run(&format!("create database {name} template template0")).await;
        self.connect(name)
    }

    pub async fn run(&self, sql: &str) {
        let mut conn = self.superuser("postgres").await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }

    async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut conn = self.superuser("postgres").await;
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap()
    }

    pub async fn count(&self, tag: &str) -> i64 {
        self.ask(&format!("select count(*) from pg_stat_activity where application_name = '{tag}'"))
            .await
    }

    /// Do exactly so many of the database's backends sleep in a statement?
    pub async fn busy(&self, database: &str, backends: i64) -> bool {
        let sleeping: i64 = self
            .ask(&format!(
                "select count(*) from pg_stat_activity
                 where datname = '{database}' and wait_event = 'PgSleep'"
            ))
            .await;
        sleeping == backends
    }

    pub async fn alive(&self, pid: i32) -> bool {
        self.ask(&format!("select exists (select from pg_stat_activity where pid = {pid})")).await
    }

    /// Ends a backend, and returns when it has gone.
    pub async fn terminate(&self, pid: i32) {
        let gone: bool = self.ask(&format!("select pg_terminate_backend({pid}, 10000)")).await;
        assert!(gone);
    }
}
