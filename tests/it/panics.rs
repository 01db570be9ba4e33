//! A bug that panics costs its own request and nobody else: a problem document goes out, what was begun is undone, and the
//! server goes on.

use std::sync::Arc;
use std::time::Duration;

use nadi::audit::Actor;
use nadi::auth::Sessions;
use nadi::http::context::Here;
use nadi::http::edge::{Edge, Rooms};
use nadi::http::openapi::Operations;
use nadi::tenancy::Directory;
use nadi::tenancy::directory::Idle;
use nadi::tenancy::hinter::Hinter;
use nadi::worker::FastPath;
use poem::endpoint::{BoxEndpoint, make};
use poem::listener::TcpAcceptor;
use poem::{Endpoint, EndpointExt, FromRequest, Request, RequestBody, Response, Route, Server};
use reqwest::Method;
use tokio::task::JoinHandle;

use crate::support::{Answer, Caller, Options, TestClinic, TestPlatform};

/// What no caller may ever see.
const SECRET: &str = "Lakshmi Menon, +919847012345";

/// More than a pool has connections: were each panic to cost one, there would be none left.
const OFTEN: usize = 40;

async fn panic_at_once(_: Request) -> poem::Result<Response> {
    panic!("never print {SECRET}");
}

/// As a verb of a slice might: its transaction is open, and has written.
async fn panic_in_the_middle(request: Request) -> poem::Result<Response> {
    let clinic = Here::from_request(&request, &mut RequestBody::default()).await?;
    let mut tx = clinic.begin(Actor::platform()).await?;
    let renamed = sqlx::query("update patients set full_name = 'Nobody'").execute(&mut *tx).await;
    assert_eq!(renamed.unwrap().rows_affected(), 2);
    panic!("{SECRET}");
}

async fn be_well(request: Request) -> poem::Result<Response> {
    let clinic = Here::from_request(&request, &mut RequestBody::default()).await?;
    let mut conn = clinic.read().await?;
    let name: String = sqlx::query_scalar("select min(full_name) from patients")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    Ok(Response::builder().body(name))
}

fn boxed(route: impl Endpoint<Output = Response> + 'static) -> BoxEndpoint<'static, Response> {
    route.boxed()
}

fn rooms() -> Rooms {
    let route = Route::new()
        .at("/api/v1/at-once", make(panic_at_once))
        .at("/api/v1/in-the-middle", make(panic_in_the_middle))
        .at("/api/v1/well", make(be_well));
    Rooms { routes: boxed(route), operations: Arc::new(Operations::default()) }
}

/// The real edge, with rooms in which the floor gives way.
struct House {
    clinic: TestClinic,
    serving: JoinHandle<std::io::Result<()>>,
    _platform: TestPlatform,
}

impl House {
    async fn open() -> Self {
        let platform = TestPlatform::with(Options { no_server: true, ..Options::default() }).await;
        let mut clinic = platform.clinic("shanti").await;
        let core = &platform.core;
        let directory = Arc::new(Directory::new(
            core.central.clone(),
            core.settings.clone(),
            core.clock.clone(),
            core.notices.clone(),
            Hinter::start(core.central.home.clone()),
            FastPath::default(),
            Idle::default(),
        ));
        let edge = Edge {
            settings: core.settings.clone(),
            directory,
            platform: core.central.realm.clone(),
            sessions: Arc::new(Sessions::new(core.freshness.clone(), core.notices.clone())),
            reads: Arc::default(),
            limits: Arc::default(),
            clinic_rooms: rooms(),
            platform_rooms: rooms(),
            landing: boxed(make(panic_at_once)),
            health: boxed(make(panic_at_once)),
            only_clinic: None,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        clinic.address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::new_with_acceptor(TcpAcceptor::from_std(listener).unwrap());
        let serving = tokio::spawn(server.run(edge));
        Self { clinic, serving, _platform: platform }
    }

    fn at(&self, host: &str) -> Caller {
        Caller::new(&self.clinic.address, host, None)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn ask(caller: &Caller, path: &str) -> Answer {
    let request = caller.raw(Method::GET, path).header("x-request-id", "the-one-that-broke");
    caller.send(request.timeout(Duration::from_secs(20))).await
}

fn assert_tells_nothing(answer: &Answer) {
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.problem(), "internal");
    assert_eq!(answer.body["status"], 500);
    assert_eq!(answer.body["instance"], "the-one-that-broke");
    assert_eq!(answer.header("x-request-id"), "the-one-that-broke");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for word in ["Lakshmi", "9847012345", "panic", "never print", ".rs"] {
        assert!(!answer.text.contains(word), "{word:?} in {}", answer.text);
    }
}

#[tokio::test]
async fn a_panic_is_answered_with_a_problem_that_tells_nothing_of_it() {
    let house = House::open().await;

    for (host, path) in [
        (house.clinic.host.as_str(), "/api/v1/at-once"),
        ("admin.localhost", "/api/v1/at-once"),
        ("localhost", "/"),
        ("localhost", "/health/ready"),
    ] {
        assert_tells_nothing(&ask(&house.at(host), path).await);
    }
}

#[tokio::test]
async fn a_panic_within_a_transaction_undoes_it_and_costs_no_connection() {
    let house = House::open().await;
    let caller = house.at(&house.clinic.host);

    for _ in 0..OFTEN {
        assert_tells_nothing(&ask(&caller, "/api/v1/in-the-middle").await);
    }

    let well = ask(&caller, "/api/v1/well").await.expect(200);
    assert_eq!(
        well.text, "Lakshmi Menon",
        "nothing was changed, and there is a connection to say so"
    );
}
