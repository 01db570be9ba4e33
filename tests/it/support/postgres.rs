//! The run's PostgreSQL: started by whichever test comes first, taken over by the others, left for the next run.
//! It gives durability up: what a test proves about crashes it proves with a server of its own.

use nadi::embedded::{Cluster, Settings};
use nadi::tenancy::{migrate, roles};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::OnceCell;

pub struct TestServer {
    pub url: String,
    pub superuser_url: String,
    /// A migrated central database, to be cloned.
    pub central_template: String,
    /// A migrated clinic's database that belongs to no clinic yet.
    pub tenant_template: String,
}

static SERVER: OnceCell<TestServer> = OnceCell::const_new();

impl TestServer {
    pub async fn shared() -> &'static TestServer {
        SERVER.get_or_init(start).await
    }

    /// A connection as superuser, for looking where nobody else may.
    pub async fn superuser(&self, database: &str) -> PgConnection {
        options(&self.superuser_url).database(database).connect().await.unwrap()
    }

    /// Drops databases off the caller's runtime, which may be ending.
    pub fn drop_databases(&'static self, names: Vec<String>) {
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut connection = self.superuser("postgres").await;
                for name in names {
                    let drop = format!("drop database if exists {name} with (force)");
                    roles::execute(&mut connection, drop).await.unwrap();
                }
            });
        })
        .join();
        if dropped.is_err() && !std::thread::panicking() {
            panic!("a test's databases could not be dropped");
        }
    }

    /// The provisioning role's way to a database.
    pub fn provisioning(&self, database: &str) -> PgConnectOptions {
        options(&self.url).database(database)
    }
}

pub fn options(url: &str) -> PgConnectOptions {
    url.parse().unwrap()
}

/// The database part of a URL, replaced.
pub fn url_of(url: &str, database: &str) -> String {
    url.replacen("/postgres?", &format!("/{database}?"), 1)
}

async fn start() -> TestServer {
    let mut settings = Settings::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/postgres"));
    for (name, value) in [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "500"),
        ("autovacuum_naptime", "10min"),
    ] {
        settings.extra.push((name.into(), value.into()));
    }
    let cluster = Cluster::start(settings).await.expect("a PostgreSQL for the tests");
    let url = cluster.url("postgres");
    let superuser_url = cluster.superuser_url("postgres");
    let central_template = ensure_template(&url, "central").await;
    let tenant_template = ensure_template(&url, "tenant").await;
    // A static is never dropped: the server must not stop with the first process that ends.
    cluster.leave_running();
    TestServer { url, superuser_url, central_template, tenant_template }
}

/// Made once for each state of the migrations, under a lock that all test processes share.
async fn ensure_template(url: &str, kind: &str) -> String {
    let mut files: Vec<_> = std::fs::read_dir(format!("migrations/{kind}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let migrations: Vec<u8> =
        files.into_iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let digest: String =
        nadi::crypto::sha256(&migrations)[..6].iter().map(|b| format!("{b:02x}")).collect();
    let name = format!("test_{kind}_{digest}");
    let mut connection = options(url).connect().await.unwrap();
    sqlx::query("select pg_advisory_lock(20261121)").execute(&mut connection).await.unwrap();
    let exists: bool =
        sqlx::query_scalar("select exists(select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    if !exists {
        let draft = format!("{name}_{}", std::process::id());
        create_database(&mut connection, &draft, "template0 encoding 'UTF8' locale 'C.UTF-8'")
            .await;
        roles::ensure_group(&mut connection).await.unwrap();
        let mut inside = options(url).database(&draft).connect().await.unwrap();
        match kind {
            "central" => migrate::central(&mut inside).await.unwrap(),
            _ => migrate::tenant(&mut inside).await.unwrap(),
        };
        inside.close().await.unwrap();
        let rename = format!("alter database {draft} rename to {name}");
        roles::execute(&mut connection, rename).await.unwrap();
    }
    connection.close().await.unwrap();
    name
}

async fn create_database(connection: &mut PgConnection, name: &str, template: &str) {
    let create = format!("create database {name} template {template}");
    roles::execute(connection, create).await.unwrap();
}

/// A database that goes with the test that made it.
pub struct ScratchDatabase {
    pub name: String,
    /// The way in as the provisioning role, its owner.
    pub options: PgConnectOptions,
    server: &'static TestServer,
}

impl ScratchDatabase {
    /// A central database.
    pub async fn central() -> Self {
        let server = TestServer::shared().await;
        Self::clone_of(server, &server.central_template).await
    }

    /// A clinic's database, outside any registry.
    pub async fn tenant() -> Self {
        let server = TestServer::shared().await;
        Self::clone_of(server, &server.tenant_template).await
    }

    async fn clone_of(server: &'static TestServer, template: &str) -> Self {
        let name = format!("test_{}", nadi::ids::new_uuid().simple());
        let mut connection = server.provisioning("postgres").connect().await.unwrap();
        create_database(&mut connection, &name, template).await;
        connection.close().await.unwrap();
        Self { options: server.provisioning(&name), name, server }
    }

    pub async fn connect(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    /// A connection that may take any role.
    pub async fn superuser(&self) -> PgConnection {
        self.server.superuser(&self.name).await
    }

    /// Nobody can connect, and who was connected is thrown out; or all is well again.
    pub async fn answers(&self, answers: bool) {
        let name = &self.name;
        let sql = format!(
            "alter database {name} allow_connections {answers};
             select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        );
        roles::execute(&mut self.server.superuser("postgres").await, sql).await.unwrap();
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        self.server.drop_databases(vec![self.name.clone()]);
    }
}
