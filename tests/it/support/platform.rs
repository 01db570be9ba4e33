//! A platform of a test's own: a central database, a server on a port, and the clinics that the test makes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use nadi::app::{App, Core, Mode};
use nadi::audit::Actor;
use nadi::auth::Role;
use nadi::config::Settings;
use nadi::messaging::inbox::Inbox;
use nadi::tenancy::provision::{NewAdmin, NewClinic};
use nadi::tenancy::{Realm, roles};
use nadi::time::Clock;
use sqlx::ConnectOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::clinic::TestClinic;
use super::postgres::{TestServer, url_of};

/// What a test wants otherwise.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further settings, such as `("NADI_CONNECTION_BUDGET", "20")`.
    pub settings: Vec<(&'static str, String)>,
    /// Without an inbox there is no demo mode: a message without a provider has no way out.
    pub no_inbox: bool,
    pub only_clinic: Option<String>,
    /// Nobody serves: the test runs the binary itself, or its commands.
    pub no_server: bool,
    /// The central database is empty. Nobody can serve on that.
    pub unmigrated: bool,
}

pub struct TestPlatform {
    pub server: &'static TestServer,
    pub database: String,
    /// `http://127.0.0.1:<port>`
    pub address: String,
    pub clock: Clock,
    pub core: Core,
    pub inbox: Arc<Inbox>,
    options: Options,
    stop: CancellationToken,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
    owns_database: bool,
    /// Where the inbox is.
    folder: Arc<tempfile::TempDir>,
}

/// `password-of-the-tests`, hashed as cheaply as argon2id allows: what is tested is not the hash.
pub const PASSWORD: &str = "lamp-oil-and-tulasi";

pub fn password_hash() -> String {
    use argon2::password_hash::PasswordHasher;
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password(PASSWORD.as_bytes())
        .unwrap()
        .to_string()
}

impl TestPlatform {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let server = TestServer::shared().await;
        let database = format!("test_{}", nadi::ids::new_uuid().simple());
        let mut connection = server.provisioning("postgres").connect().await.unwrap();
        let template = match options.unmigrated {
            false => server.central_template.as_str(),
            true => "template0 encoding 'UTF8' locale 'C.UTF-8'",
        };
        let create = format!("create database {database} template {template}");
        roles::execute(&mut connection, create).await.unwrap();
        roles::close_to_public(&mut connection, &database).await.unwrap(); // as `nadi migrate central` leaves it
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let inbox = Arc::new(Inbox::new(folder.path().join("inbox.jsonl")));
        Self::on(server, database, options, Clock::system(), (folder, inbox), true).await
    }

    /// A second instance on the same central database. Whichever of the two sends a message, it comes to the same inbox.
    pub async fn another_instance(&self) -> Self {
        Self::on(
            self.server,
            self.database.clone(),
            self.options.clone(),
            self.clock.clone(),
            (self.folder.clone(), self.inbox.clone()),
            false,
        )
        .await
    }

    pub fn settings(&self) -> Vec<(String, String)> {
        settings(self.server, &self.database, &self.options)
    }

    async fn on(
        server: &'static TestServer,
        database: String,
        options: Options,
        clock: Clock,
        (folder, inbox): (Arc<tempfile::TempDir>, Arc<Inbox>),
        owns_database: bool,
    ) -> Self {
        let core = || {
            let settings = settings(server, &database, &options);
            let settings = Settings::read(settings.into_iter()).unwrap();
            Core::new(settings, clock.clone()).unwrap()
        };
        let mode = Mode {
            inbox: (!options.no_inbox).then(|| inbox.clone()),
            demo_links: Vec::new(),
            only_clinic: options.only_clinic.clone(),
        };
        let stop = CancellationToken::new();
        let (address, serving) = match options.no_server || options.unmigrated {
            true => ("http://127.0.0.1:9".to_owned(), None),
            false => {
                let app = App::new(core(), mode).await.unwrap();
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = format!("http://{}", listener.local_addr().unwrap());
                let drain = Duration::from_secs(5);
                (address, Some(tokio::spawn(app.serve(listener, stop.clone(), drain))))
            }
        };
        // The tests' own way to the registry, beside the server's.
        let core = core();
        Self {
            server,
            database,
            address,
            clock,
            core,
            inbox,
            options,
            stop,
            serving,
            owns_database,
            folder,
        }
    }

    /// Stops the server as SIGTERM would, and waits for it.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap().unwrap();
        }
    }

    pub fn realm(&self) -> &Arc<Realm> {
        &self.core.central.realm
    }

    /// A clinic with staff of every role, a location, a doctor who sits every day from 9 to 17, and two patients.
    pub async fn clinic(&self, slug: &str) -> TestClinic {
        let id = self.provision(slug).await;
        TestClinic::furnish(self, slug, id).await
    }

    /// A clinic as provisioning leaves it.
    pub async fn provision(&self, slug: &str) -> nadi::ids::ClinicId {
        let new = NewClinic {
            slug: slug.into(),
            name: format!("{slug} clinic"),
            time_zone: "Asia/Kolkata".into(),
            language: "en".into(),
            country: "IN".into(),
            state: None,
            admin: NewAdmin {
                full_name: "Founding Admin".into(),
                email: format!("founder@{slug}.example"),
                phone: None,
            },
            owner: None,
        };
        self.core.provisioner.provision(&new, Actor::platform()).await.unwrap().id
    }

    /// Somebody who has not signed in, at a host of this platform.
    pub fn anybody(&self, host: &str) -> Caller {
        Caller::new(&self.address, host, None)
    }

    /// Somebody of the platform's own roles, signed in.
    pub async fn platform_account(&self, role: Role) -> Caller {
        let email = format!("{}-{}@nadi.example", role.as_str(), nadi::ids::new_uuid().simple());
        let mut conn = self.realm().read().await.unwrap();
        sqlx::query(
            "insert into users (id, role, full_name, email, password_hash) values ($1, $2, 'Platform', $3, $4)",
        )
        .bind(nadi::ids::new_uuid())
        .bind(role)
        .bind(&email)
        .bind(password_hash())
        .execute(&mut conn)
        .await
        .unwrap();
        drop(conn);
        self.anybody("admin.localhost").sign_in(&email, PASSWORD).await
    }

    pub async fn super_admin(&self) -> Caller {
        self.platform_account(Role::SuperAdmin).await
    }
}

fn settings(server: &TestServer, database: &str, options: &Options) -> Vec<(String, String)> {
    let mut settings = vec![
        ("NADI_CENTRAL_DATABASE_URL".to_owned(), url_of(&server.url, database)),
        ("NADI_MASTER_KEY".to_owned(), "bmFkaSB0ZXN0cycgb3duIG1hc3RlciBrZXksIDMyIGI=".to_owned()),
    ];
    settings
        .extend(options.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    settings
}

impl Drop for TestPlatform {
    /// Drops what the test made, off this runtime, which may be ending.
    fn drop(&mut self) {
        self.stop.cancel();
        if !self.owns_database {
            return;
        }
        let (server, database) = (self.server, self.database.clone());
        let cleaned = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = server.superuser("postgres").await;
                let reopen = format!("alter database {database} with allow_connections true"); // a test may have closed it
                roles::execute(&mut connection, reopen).await.unwrap();
                let mut connection = server.superuser(&database).await;
                let migrated: bool =
                    sqlx::query_scalar("select to_regclass('clinics') is not null")
                        .fetch_one(&mut connection)
                        .await
                        .unwrap();
                let clinics: Vec<uuid::Uuid> = match migrated {
                    true => sqlx::query_scalar("select id from clinics")
                        .fetch_all(&mut connection)
                        .await
                        .unwrap(),
                    false => Vec::new(),
                };
                // Each drop waits for a checkpoint, and several share one.
                stream::iter(clinics)
                    .for_each_concurrent(8, async |clinic| {
                        let mut connection = server.superuser("postgres").await;
                        let _ = roles::drop_database_and_role(&mut connection, clinic.into()).await;
                    })
                    .await;
                let mut connection = server.superuser("postgres").await;
                let drop = format!("drop database if exists {database} with (force)");
                roles::execute(&mut connection, drop).await.unwrap();
            });
        })
        .join();
        if cleaned.is_err() && !std::thread::panicking() {
            panic!("the test's databases could not be dropped");
        }
    }
}
