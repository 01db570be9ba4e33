//! The connection budget, as PostgreSQL counts it: a process that serves two hundred clinics holds no more connections than
//! it may, and nobody hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use futures_util::{StreamExt, stream};
use nadi::auth::Role;
use nadi::tenancy::roles;
use tokio::task::JoinHandle;

use crate::support::{
    Caller, Options, Process, SmtpServer, TestClinic, TestPlatform, TestServer, until,
};

const CLINICS: usize = 200;
const CLIENTS: usize = 64;
const BUDGET: i64 = 20;
const REQUESTS: usize = 12;

/// Counts the connections of one process over and over, the listener's too, and keeps the greatest number.
struct Census {
    most: Arc<AtomicI64>,
    looks: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Census {
    /// Of these databases, from now on: what is connected already belongs to somebody else.
    async fn begin(server: &'static TestServer, databases: Vec<String>) -> Self {
        let most = Arc::<AtomicI64>::default();
        let (looks, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut connection = server.superuser("postgres").await;
        let others: Vec<i32> =
            sqlx::query_scalar("select pid from pg_stat_activity where datname = any($1)")
                .bind(&databases)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let task = tokio::spawn({
            let kept = (most.clone(), looks.clone(), stop.clone());
            async move {
                let (most, looks, stop) = kept;
                while !stop.load(SeqCst) {
                    let now: i64 = sqlx::query_scalar(
                        "select count(*) from pg_stat_activity
                         where application_name like 'nadi%' and datname = any($1) and pid <> all($2)",
                    )
                    .bind(&databases)
                    .bind(&others)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                    most.fetch_max(now, SeqCst);
                    looks.fetch_add(1, SeqCst);
                }
            }
        });
        Self { most, looks, stop, task }
    }

    /// The most connections that were seen at once.
    async fn end(self) -> i64 {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap();
        assert!(self.looks.load(SeqCst) > 20, "hardly looked");
        self.most.load(SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clinics_live_within_a_budget_of_twenty() {
    let mail = SmtpServer::up();
    let options = Options {
        settings: vec![("NADI_CONNECTION_BUDGET", BUDGET.to_string()), mail.setting()],
        no_server: true,
        ..Options::default()
    };
    let platform = TestPlatform::with(options).await;
    let clinics: Vec<(TestClinic, Caller)> = stream::iter(0..CLINICS)
        .map(|n| {
            let platform = &platform;
            async move {
                let clinic = platform.clinic(&format!("clinic-{n}")).await;
                let patient = clinic.caller(Role::Patient).await;
                (clinic, patient)
            }
        })
        .buffer_unordered(4)
        .collect()
        .await;
    let mut databases: Vec<String> =
        clinics.iter().map(|(clinic, _)| roles::database_name(clinic.id)).collect();
    databases.push(platform.database.clone());
    let census = Census::begin(platform.server, databases).await;
    let process = Process::serve(&platform.settings()).await;
    let callers: Arc<Vec<Caller>> = Arc::new(
        clinics.iter().map(|(clinic, caller)| caller.at(&process.address, &clinic.host)).collect(),
    );

    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let callers = callers.clone();
            tokio::spawn(async move {
                for turn in 0..REQUESTS {
                    let caller = &callers[(client * 37 + turn * 83) % CLINICS];
                    caller.get("/appointments?date=2099-01-05").await.expect(200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // As many clinics as there are connections book at the same moment, and each tells a patient.
    let bookings: Vec<_> = clinics[..BUDGET as usize]
        .iter()
        .zip(callers.iter().cloned())
        .map(|((clinic, _), caller)| {
            let visit = clinic.visit("2099-01-05T04:30:00Z");
            tokio::spawn(async move { caller.post("/appointments", &visit).await.expect(201) })
        })
        .collect();
    for booking in bookings {
        booking.await.unwrap();
    }
    until("every patient has been told", async || {
        let told = mail.accepted().iter().filter(|mail| mail.to == "lakshmi@mail.example").count();
        told == BUDGET as usize
    })
    .await;

    let most = census.end().await;
    assert!(most <= BUDGET, "{most} connections at once");
    assert!(most > BUDGET / 2, "only {most}: this proves nothing");
}
