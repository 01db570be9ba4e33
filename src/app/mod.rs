//! The wiring: state, routes, workers. With its parts, the only place that knows every slice: `apis.rs` lists what can be called.

mod apis;
mod core;
mod pages;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use poem::listener::TcpAcceptor;
use poem::{EndpointExt, IntoEndpoint, Route, Server};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::apis::{clinic_description, platform_description};
pub use self::core::Core;
pub use self::pages::serve_metrics;

use crate::appointments::{freed, no_show};
use crate::audit::Reads;
use crate::auth::Sessions;
use crate::chores::{Chores, Rounds};
use crate::config::{SettingError, Settings};
use crate::http::edge::{Edge, Rooms};
use crate::http::openapi::Operations;
use crate::http::site;
use crate::live::Live;
use crate::messaging::channels::guard::AllowList;
use crate::messaging::channels::http::{Http, Limits};
use crate::messaging::deliver::Deliverer;
use crate::messaging::facts::Visits;
use crate::messaging::inbox::Inbox;
use crate::messaging::settings::{Bases, Setups};
use crate::messaging::templates::Books;
use crate::messaging::webhooks::{self, Inbound};
use crate::messaging::{MailServer, Post, unsubscribe};
use crate::outbox::{Together, Turns};
use crate::platform::Desk;
use crate::queue::display::Displays;
use crate::queue::display_page;
use crate::respond;
use crate::retention::Retention;
use crate::tenancy::directory::Idle;
use crate::tenancy::hinter::Hinter;
use crate::tenancy::{Central, Directory};
use crate::waitlist;
use crate::worker::{self, FastPath, Worker};

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
    worker: Worker<Rounds<Deliverer>>,
    stop_sending: CancellationToken,
    reads: Arc<Reads>,
    post: Arc<Post>,
    retention: Arc<Retention>,
    live: Arc<Live>,
}

/// Who does which of the clinics' timed jobs.
fn chores() -> Chores {
    Chores::default()
        .with(no_show::NAME, no_show::job)
        .with(freed::NAME, waitlist::offer_freed_time)
        .with(waitlist::LAPSED, waitlist::lapse)
}

fn rooms(
    beside: Route,
    describe: fn() -> Value,
    operations: Operations,
    api: impl poem::Endpoint + 'static,
) -> Rooms {
    let routes = site::rooms(beside, api.map_to_response().boxed(), describe);
    Rooms { routes, operations: Arc::new(operations) }
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
            core.notices.clone(),
            hinter.clone(),
            fast_path.clone(),
            Idle::default(),
        ));
        let retention = Arc::new(Retention::default());
        let turns = Turns::default();
        let deliverer = Deliverer {
            central: core.central.clone(),
            directory: directory.clone(),
            post: post.clone(),
            retention: retention.clone(),
            books: books.clone(),
            setups: setups.clone(),
            inbound: inbound.clone(),
            visits: Visits::new(turns.clone()),
            starts: Together::new(turns.clone()),
            turns,
        };
        let live = Live::new(directory.clone(), core.freshness.clone());
        let rounds = Rounds { messages: deliverer, directory: directory.clone(), chores: chores() };
        let displays = Arc::new(Displays::default());
        let stop_sending = CancellationToken::new();
        let worker =
            Worker::new(rounds, hinter.clone(), worker::Settings::default(), stop_sending.clone());
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
                display_page::routes(
                    unsubscribe::routes(respond::pages::routes(webhooks::routes(
                        Route::new(),
                        &inbound,
                    ))),
                    &displays,
                ),
                clinic_description,
                apis::clinic_operations(),
                apis::clinic_service()
                    .into_endpoint()
                    .data(setups)
                    .data(books)
                    .data(live.clone())
                    .data(displays),
            ),
            platform_rooms: rooms(
                Route::new(),
                platform_description,
                apis::platform_operations(),
                apis::platform_service().into_endpoint().data(Arc::new(Desk {
                    platform: core.central.realm.clone(),
                    provisioner: core.provisioner.clone(),
                    notices: core.notices.clone(),
                    settings: settings.clone(),
                })),
            ),
            landing: pages::landing(&mode),
            health: pages::health(&core),
            only_clinic: mode.only_clinic,
        };
        Ok(Self {
            core,
            edge,
            directory,
            hinter,
            worker,
            stop_sending,
            reads,
            retention,
            post,
            live,
        })
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
        let Self {
            core,
            edge,
            directory,
            hinter,
            worker,
            stop_sending,
            reads,
            retention,
            post,
            live,
        } = self;
        // Streams first: they would last longer than any stop may.
        let stopped = async move {
            stop.cancelled().await;
            live.stop();
        };
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
            .run_with_graceful_shutdown(edge, stopped, Some(drain))
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
        give_memory_back();
    }
}

/// The allocator returns what has been free for a second when it is asked for much, or when a thread ends. A server at rest
/// does neither, and would keep what its start took, or its busiest hour: so a thread comes and goes.
fn give_memory_back() {
    // One that has taken nothing would give nothing back. If no thread can be had, the next round tries again.
    let _ = std::thread::Builder::new()
        .name("memory".to_owned())
        .spawn(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(1))));
}
