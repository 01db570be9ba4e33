//! Promise 3 under fire: a message commits with the change that causes it, and a crash at any instant loses none. Here the
//! real binary is killed, frozen and cut off, between a mail server and a PostgreSQL that go on.

mod central;
mod crowd;
mod kills;
mod mail;
mod points;
mod reach;
mod stops;

use chrono::{DateTime, TimeDelta, Utc};
use nadi::tenancy::roles;
use serde_json::Value;
use sqlx::PgConnection;

use crate::support::{Caller, Options, Process, SmtpServer, TestClinic, TestPlatform, until};

/// A clinic, a mail server, and nobody who serves yet.
struct Scene {
    platform: TestPlatform,
    clinic: TestClinic,
    mail: SmtpServer,
}

impl Scene {
    async fn new(mail: SmtpServer) -> Self {
        let settings = vec![mail.setting()];
        let options = Options { settings, no_server: true, ..Options::default() };
        let platform = TestPlatform::with(options).await;
        let clinic = platform.clinic("shanti").await;
        // The founder's invitation is not what is looked at here.
        sqlx::query("delete from outbox").execute(&mut clinic.connection().await).await.unwrap();
        clinic.reminds_nobody().await;
        Self { platform, clinic, mail }
    }

    /// Starts an instance. It is the one that callers reach from now on.
    async fn serve(&mut self) -> Process {
        let process = Process::serve(&self.platform.settings()).await;
        self.clinic.address = process.address.clone();
        process
    }

    /// The body of the n-th booking: each at a time of its own.
    fn visit(&self, n: usize) -> Value {
        let first: DateTime<Utc> = "2099-01-05T03:30:00Z".parse().unwrap(); // 9:00 in Kolkata
        let (day, slot) = (n as i64 / 16, n as i64 % 16);
        let starts_at = first + TimeDelta::days(day) + TimeDelta::minutes(30 * slot);
        self.clinic.visit(&starts_at.to_rfc3339())
    }

    async fn book(&self, desk: &Caller, n: usize) {
        desk.post("/appointments", &self.visit(n)).await.expect(201);
    }

    /// The Message-IDs that committed bookings stand for.
    async fn owed(&self) -> Vec<String> {
        let ids: Vec<String> = sqlx::query_scalar("select id::text from outbox order by id")
            .fetch_all(&mut self.clinic.connection().await)
            .await
            .unwrap();
        ids.into_iter().map(|id| format!("{id}@{}", self.clinic.host)).collect()
    }

    async fn statuses(&self) -> Vec<(String, i64)> {
        sqlx::query_as("select status, count(*) from outbox group by status order by status")
            .fetch_all(&mut self.clinic.connection().await)
            .await
            .unwrap()
    }

    async fn until_all_done(&self) {
        until("every message is done", async || {
            self.clinic.count("select count(*) from outbox where done_at is null").await == 0
        })
        .await;
    }

    /// Each message that was owed has arrived, once.
    async fn assert_each_arrived_once(&self) {
        let arrivals = self.mail.arrivals();
        let arrived: Vec<String> = arrivals.keys().cloned().collect();
        assert_eq!(arrived, self.owed().await);
        assert!(arrivals.values().all(|times| times.len() == 1), "{arrivals:?}");
    }

    async fn central(&self) -> PgConnection {
        self.platform.server.superuser(&self.platform.database).await
    }

    /// Time passes for whatever lies in the databases: nobody has to wait for the leases of the dead. Sweeps keep their
    /// distance: they must not find what the ledger should have told.
    async fn let_a_minute_pass(&self) {
        sqlx::query(
            "update wakeups set due_at = due_at - interval '61 s', leased_until = leased_until - interval '61 s'",
        )
        .execute(&mut self.central().await)
        .await
        .unwrap();
        sqlx::query(
            "update outbox set due_at = due_at - interval '61 s', leased_until = leased_until - interval '61 s'
             where done_at is null",
        )
        .execute(&mut self.clinic.connection().await)
        .await
        .unwrap();
    }

    /// Nobody reaches the central database any more.
    async fn cut_central_off(&self) {
        self.allow_central(false).await;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&self.platform.database)
            .execute(&mut self.platform.server.superuser("postgres").await)
            .await
            .unwrap();
    }

    async fn give_central_back(&self) {
        self.allow_central(true).await;
    }

    async fn allow_central(&self, allowed: bool) {
        let database = &self.platform.database;
        let alter = format!("alter database {database} allow_connections {allowed}");
        let mut connection = self.platform.server.superuser("postgres").await;
        roles::execute(&mut connection, alter).await.unwrap();
    }
}
