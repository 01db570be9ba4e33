//! Pages that belong to no slice: the landing page with the demo's inbox, health, and the metrics on an address of their own.

use std::net::SocketAddr;

use anyhow::Context as _;
use poem::endpoint::make;
use poem::listener::TcpAcceptor;
use poem::{EndpointExt, IntoResponse, Response, Route, Server};
use tokio_util::sync::CancellationToken;

use super::{Core, Mode};
use crate::error::Problem;
use crate::http::site;

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

pub(super) fn landing(mode: &Mode) -> poem::endpoint::BoxEndpoint<'static, Response> {
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
pub(super) fn health(core: &Core) -> poem::endpoint::BoxEndpoint<'static, Response> {
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
