//! The wiring: state, routes, workers. The only file that knows every slice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use poem::endpoint::make;
use poem::listener::TcpAcceptor;
use poem::{EndpointExt, IntoEndpoint, IntoResponse, Response, Route, Server};
use poem_openapi::OpenApiService;
use secrecy::ExposeSecret;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use crate::appointments::api::AppointmentsApi;
use crate::audit::Reads;
use crate::audit::api::AuditApi;
use crate::auth::Sessions;
use crate::auth::api::AuthApi;
use crate::auth::email::EmailApi;
use crate::auth::passwords::api::PasswordsApi;
use crate::auth::second_factor::api::SecondFactorApi;
use crate::auth::second_factor::settings::SignInSettingsApi;
use crate::calendar::api::CalendarApi;
use crate::calendar::feed_api::FeedsApi;
use crate::config::{SettingError, Settings};
use crate::crypto::MasterKey;
use crate::doctors::api::DoctorsApi;
use crate::error::Problem;
use crate::http::edge::{Edge, Rooms};
use crate::http::openapi::{self, Operations};
use crate::http::site;
use crate::locations::api::LocationsApi;
use crate::messaging::channels::guard::AllowList;
use crate::messaging::channels::http::{Http, Limits};
use crate::messaging::consents::api::ConsentsApi;
use crate::messaging::deliver::Deliverer;
use crate::messaging::inbox::Inbox;
use crate::messaging::sent::api::MessagesApi;
use crate::messaging::settings::api::MessagingSettingsApi;
use crate::messaging::settings::{Bases, Setups};
use crate::messaging::templates::Books;
use crate::messaging::templates::api::TemplatesApi;
use crate::messaging::webhooks::{self, Inbound};
use crate::messaging::{MailServer, Post};
use crate::one_time_codes::account_status::AccountStatusApi;
use crate::one_time_codes::api::OneTimeCodesApi;
use crate::patients::api::PatientsApi;
use crate::platform::Desk;
use crate::platform::accounts::AccountsApi;
use crate::platform::api::ClinicsApi;
use crate::platform::password_link::PasswordLinksApi;
use crate::retention::Retention;
use crate::staff::api::StaffApi;
use crate::staff::avatars::api::AvatarsApi;
use crate::staff::preferences::PreferencesApi;
use crate::staff::sessions::StaffSessionsApi;
use crate::tenancy::directory::Idle;
use crate::tenancy::freshness::Freshness;
use crate::tenancy::hinter::Hinter;
use crate::tenancy::notices::Notices;
use crate::tenancy::{Central, Directory, Provisioner, migrate};
use crate::time::Clock;
use crate::worker::{self, FastPath, Worker};

/// What the command line's commands share with the server: the way to the registry, and the making of clinics.
pub struct Core {
    pub settings: Arc<Settings>,
    pub central: Arc<Central>,
    pub freshness: Arc<Freshness>,
    pub notices: Notices,
    pub provisioner: Arc<Provisioner>,
    pub clock: Clock,
}

impl Core {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When a setting that is needed is missing or cannot be used.
    pub fn new(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let pooled = connect_options("NADI_CENTRAL_DATABASE_URL", settings.require_central()?)?;
        let direct = match &settings.central_database_url_direct {
            Some(url) => connect_options("NADI_CENTRAL_DATABASE_URL_DIRECT", url)?,
            None => pooled.clone(),
        };
        let master = MasterKey::new(settings.require_master_key()?);
        let central = Arc::new(Central::new(&settings, pooled, direct, master, clock.clone())?);
        let freshness = Arc::new(Freshness::default());
        let notices = Notices::new(freshness.clone());
        let provisioner = Arc::new(Provisioner::new(central.clone(), notices.clone()));
        Ok(Self { settings: Arc::new(settings), central, freshness, notices, provisioner, clock })
    }

    /// # Errors
    /// When the central schema is older than this binary needs: migrating it is the operator's decision.
    pub async fn require_central_schema(&self) -> anyhow::Result<()> {
        let connected = self.central.home.connect().await;
        let mut connection = connected
            .context("cannot reach the central database: check NADI_CENTRAL_DATABASE_URL")?;
        let level = migrate::central_pending(&mut connection).await?.current;
        connection.close().await?;
        let needed = migrate::central_level();
        if level < needed {
            bail!(
                "the central database is at level {level}, and this nadi needs {needed}: \
                 run `nadi migrate central` first"
            );
        }
        Ok(())
    }
}

/// The central database's address, without reading anybody's `~/.pgpass`.
fn connect_options(
    name: &str,
    url: &secrecy::SecretString,
) -> Result<PgConnectOptions, SettingError> {
    let options: PgConnectOptions = url.expose_secret().parse().map_err(|_| SettingError::Bad {
        name: name.to_owned(),
        expected: "a PostgreSQL URI, postgresql://user:password@host/database".to_owned(),
    })?;
    Ok(options.application_name("nadi"))
}

/// What differs from one kind of start to another.
#[derive(Default)]
pub struct Mode {
    /// Demo: messages without a provider go there.
    pub inbox: Option<Arc<Inbox>>,
    /// Demo: what the landing page links to, by name and address.
    pub demo_links: Vec<(String, String)>,
    /// Serve this clinic alone.
    pub only_clinic: Option<String>,
}

/// A server, ready to be let loose on a listener.
pub struct App {
    core: Core,
    edge: Edge,
    directory: Arc<Directory>,
    hinter: Hinter,
    worker: Worker<Deliverer>,
    stop_sending: CancellationToken,
    reads: Arc<Reads>,
    post: Arc<Post>,
    retention: Arc<Retention>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Signing in, and one's own account: the same on every host.
type AccountApis = (AuthApi, PasswordsApi, SecondFactorApi, SignInSettingsApi);

const ACCOUNTS: AccountApis = (AuthApi, PasswordsApi, SecondFactorApi, SignInSettingsApi);

type StaffApis = (StaffApi, StaffSessionsApi, PreferencesApi, AvatarsApi);

type ClinicApis = (
    AccountApis,
    EmailApi,
    (OneTimeCodesApi, AccountStatusApi),
    StaffApis,
    LocationsApi,
    DoctorsApi,
    PatientsApi,
    (AppointmentsApi, CalendarApi, FeedsApi),
    TemplatesApi,
    AuditApi,
    (MessagingSettingsApi, MessagesApi, ConsentsApi),
);

fn clinic_service() -> OpenApiService<ClinicApis, ()> {
    let apis = (
        ACCOUNTS,
        EmailApi,
        (OneTimeCodesApi, AccountStatusApi),
        (StaffApi, StaffSessionsApi, PreferencesApi, AvatarsApi),
        LocationsApi,
        DoctorsApi,
        PatientsApi,
        (AppointmentsApi, CalendarApi, FeedsApi),
        TemplatesApi,
        AuditApi,
        (MessagingSettingsApi, MessagesApi, ConsentsApi),
    );
    OpenApiService::new(apis, "nadi: a clinic", VERSION).server("/api/v1")
}

fn platform_service()
-> OpenApiService<(AccountApis, ClinicsApi, AccountsApi, PasswordLinksApi, AuditApi), ()> {
    let apis = (ACCOUNTS, ClinicsApi, AccountsApi, PasswordLinksApi, AuditApi);
    OpenApiService::new(apis, "nadi: the platform", VERSION).server("/api/v1")
}

/// The description of a clinic's API.
pub fn clinic_description() -> Value {
    openapi::complete(&clinic_service().spec())
}

/// The description of the platform's API.
pub fn platform_description() -> Value {
    openapi::complete(&platform_service().spec())
}

fn rooms(beside: Route, description: Value, api: impl poem::Endpoint + 'static) -> Rooms {
    let operations = Arc::new(Operations::of(&description));
    let routes = site::rooms(beside, api.map_to_response().boxed(), Arc::new(description));
    Rooms { routes, operations }
}

/// Where providers are, as far as the platform says so.
pub(crate) fn bases(settings: &Settings, is_demo: bool) -> anyhow::Result<Bases> {
    let allowed = AllowList::new(settings.outbound_hosts.split(',')).map_err(|entry| {
        let expected = format!("hosts, addresses or networks between commas, not `{entry}`");
        SettingError::Bad { name: "NADI_OUTBOUND_HOSTS".to_owned(), expected }
    })?;
    let mail = settings.smtp_url.as_ref().map(MailServer::new).transpose()?;
    Ok(Bases {
        whatsapp: settings.whatsapp_base_url.clone(),
        sms: settings.sms_base_url.clone(),
        only_named: is_demo,
        allowed: Arc::new(allowed),
        mail: mail.map(Arc::new),
    })
}

impl App {
    /// # Errors
    /// A setting that cannot be used, or a central schema that is too old.
    pub async fn new(core: Core, mode: Mode) -> anyhow::Result<Self> {
        core.require_central_schema().await?;
        let settings = &core.settings;
        let bases = bases(settings, mode.inbox.is_some())?;
        let http =
            Http::new(Limits::default(), bases.allowed.as_ref().clone(), core.clock.clone())?;
        let post = Arc::new(Post::new(http, mode.inbox.clone()));
        let setups = Setups::new(bases, core.freshness.clone(), core.notices.clone());
        let setups = Arc::new(setups);
        let inbound = Arc::new(Inbound::new(setups.clone()));
        let books = Arc::new(Books::new(core.freshness.clone(), core.notices.clone()));
        let hinter = Hinter::start(core.central.home.clone());
        let fast_path = FastPath::default();
        let directory = Arc::new(Directory::new(
            core.central.clone(),
            settings.clone(),
            core.clock.clone(),
            core.freshness.clone(),
            hinter.clone(),
            fast_path.clone(),
            Idle::default(),
        ));
        let retention = Arc::new(Retention::default());
        let deliverer = Deliverer {
            central: core.central.clone(),
            directory: directory.clone(),
            post: post.clone(),
            retention: retention.clone(),
            books: books.clone(),
            setups: setups.clone(),
            inbound: inbound.clone(),
        };
        let stop_sending = CancellationToken::new();
        let worker = Worker::new(
            deliverer,
            hinter.clone(),
            worker::Settings::default(),
            stop_sending.clone(),
        );
        fast_path.answered_by(&worker);
        let reads = Arc::new(Reads::default());
        let sessions = Arc::new(Sessions::new(core.freshness.clone(), core.notices.clone()));
        let edge = Edge {
            settings: settings.clone(),
            directory: directory.clone(),
            platform: core.central.realm.clone(),
            sessions,
            reads: reads.clone(),
            limits: Arc::default(),
            clinic_rooms: rooms(
                webhooks::routes(Route::new(), &inbound),
                clinic_description(),
                clinic_service().into_endpoint().data(setups).data(books),
            ),
            platform_rooms: rooms(
                Route::new(),
                platform_description(),
                platform_service().into_endpoint().data(Arc::new(Desk {
                    platform: core.central.realm.clone(),
                    provisioner: core.provisioner.clone(),
                    notices: core.notices.clone(),
                    settings: settings.clone(),
                })),
            ),
            landing: landing(&mode),
            health: health(&core),
            only_clinic: mode.only_clinic,
        };
        Ok(Self { core, edge, directory, hinter, worker, stop_sending, reads, retention, post })
    }

    /// Serves until told to stop; then lets what runs finish, up to `drain`.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        stop: CancellationToken,
        drain: Duration,
    ) -> anyhow::Result<()> {
        let Self { core, edge, directory, hinter, worker, stop_sending, reads, retention, post } =
            self;
        listener.set_nonblocking(true)?;
        let acceptor = TcpAcceptor::from_std(listener)?;
        // Background work goes on until the last request has been answered.
        let background = CancellationToken::new();
        let listening = tokio::spawn(
            core.notices.clone().listen(core.central.home.clone(), background.clone()),
        );
        let watching = tokio::spawn(core.provisioner.clone().watch(background.clone()));
        let sending = tokio::spawn(async move { worker.run().await });
        let tidying = tokio::spawn(tidy(
            directory,
            core.central.clone(),
            hinter,
            reads.clone(),
            post,
            background.clone(),
        ));
        let keeping =
            tokio::spawn(keep_the_platform(core.central.clone(), retention, background.clone()));
        let served = Server::new_with_acceptor(acceptor)
            .idle_timeout(Duration::from_secs(75))
            .run_with_graceful_shutdown(edge, stop.cancelled_owned(), Some(drain))
            .await;
        stop_sending.cancel();
        sending.await.context("the worker")?; // it has its own limits, and leaves no hint owed
        reads.drain(DRAIN_AUDIT).await;
        core.central.sealer.drain(DRAIN_AUDIT).await;
        background.cancel();
        for task in [listening, watching, tidying, keeping] {
            task.await.context("background work")?;
        }
        Ok(served?)
    }
}

/// Serves `/metrics` on an address of its own.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve_metrics(bind: SocketAddr, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(bind)
        .with_context(|| format!("NADI_METRICS_BIND: cannot listen on {bind}"))?;
    listener.set_nonblocking(true)?;
    let page = make(|_| async {
        crate::metrics::page().with_content_type("text/plain; version=0.0.4").into_response()
    });
    let server = Server::new_with_acceptor(TcpAcceptor::from_std(listener)?);
    let route = Route::new().at("/metrics", poem::get(page));
    tokio::spawn(server.run_with_graceful_shutdown(route, stop.cancelled_owned(), None));
    Ok(())
}

/// How long a stop waits for reads to be noted, and again for what is to be sealed.
const DRAIN_AUDIT: Duration = Duration::from_secs(5);

/// The platform's database is one, so it is looked at now and then: what a dead process or a command left unsealed in its log,
/// and what is of no use any more. (Clinics have the worker's sweep.)
async fn keep_the_platform(
    central: Arc<Central>,
    retention: Arc<Retention>,
    stop: CancellationToken,
) {
    let mut pace = tokio::time::interval(Duration::from_secs(60));
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        central.realm.chain.ring();
        stop.run_until_cancelled(retention.keep(&central.realm)).await;
    }
}

async fn tidy(
    directory: Arc<Directory>,
    central: Arc<Central>,
    hinter: Hinter,
    reads: Arc<Reads>,
    post: Arc<Post>,
    stop: CancellationToken,
) {
    let mut pace = tokio::time::interval(Duration::from_secs(5));
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        directory.tidy().await;
        crate::metrics::CLINICS.set(directory.known() as i64);
        crate::metrics::CONNECTIONS.set(central.open_connections() as i64);
        crate::metrics::HINTS_OWED.set(hinter.owed() as i64);
        post.show_breakers();
        crate::metrics::AUDIT_READS_WAITING.set(reads.waiting() as i64);
    }
}

fn landing(mode: &Mode) -> poem::endpoint::BoxEndpoint<'static, Response> {
    let links = mode.demo_links.clone();
    let mut route = site::with_assets(Route::new()).at(
        "/",
        poem::get(make(move |_| {
            let links = links.clone();
            async move { site::landing(&links) }
        })),
    );
    if let Some(inbox) = &mode.inbox {
        let (page, json) = (inbox.clone(), inbox.clone());
        route = route
            .at(
                "/inbox",
                poem::get(make(move |_| {
                    let inbox = page.clone();
                    async move {
                        inbox.page().await.map_err(|error| Problem::internal(error).into())
                            as poem::Result<Response>
                    }
                })),
            )
            .at(
                "/inbox.json",
                poem::get(make(move |_| {
                    let inbox = json.clone();
                    async move {
                        let items = inbox.items().await.map_err(Problem::internal)?;
                        let body = serde_json::json!({ "items": items }).to_string();
                        Ok(body.with_content_type("application/json").into_response())
                            as poem::Result<Response>
                    }
                })),
            );
    }
    route.map_to_response().boxed()
}

/// `/health` and `/health/live` say that the process answers; `/health/ready` that it can reach the central database.
fn health(core: &Core) -> poem::endpoint::BoxEndpoint<'static, Response> {
    let platform = core.central.realm.clone();
    let alive = || poem::get(make(|_| async { site::text("ok\n") }));
    Route::new()
        .at("/health", alive())
        .at("/health/live", alive())
        .at(
            "/health/ready",
            poem::get(make(move |_| {
                let platform = platform.clone();
                async move {
                    let mut conn = platform.read().await?;
                    sqlx::query("select 1").execute(&mut conn).await.map_err(Problem::from)?;
                    Ok(site::text("ready\n")) as poem::Result<Response>
                }
            })),
        )
        .map_to_response()
        .boxed()
}
