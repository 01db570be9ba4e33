//! The edge of the house: every request passes here first and every answer last. Whose host, under what id, with which
//! headers; and whatever goes wrong inside leaves as a problem document.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use poem::endpoint::BoxEndpoint;
use poem::error::ParsePathError;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use poem_openapi::OperationId;
use tracing::Instrument;

use super::context::Context;
use super::host::{self, Site};
use super::limits::Limits;
use super::openapi::Operations;
use super::rest::Rest;
use crate::audit::Reads;
use crate::auth::Sessions;
use crate::config::{Scheme, Settings};
use crate::error::Problem;
use crate::ids;
use crate::tenancy::directory::Directory;
use crate::tenancy::{Clinic, Realm};

/// One kind of host: its routes, and what they are.
pub struct Rooms {
    pub routes: BoxEndpoint<'static, Response>,
    pub operations: Arc<Operations>,
}

/// Everything behind one listener.
pub struct Edge {
    pub settings: Arc<Settings>,
    pub directory: Arc<Directory>,
    pub platform: Arc<Realm>,
    pub sessions: Arc<Sessions>,
    pub reads: Arc<Reads>,
    pub limits: Arc<Limits>,
    pub clinic_rooms: Rooms,
    pub platform_rooms: Rooms,
    pub landing: BoxEndpoint<'static, Response>,
    pub health: BoxEndpoint<'static, Response>,
    /// Set: this instance serves that clinic alone.
    pub only_clinic: Option<String>,
}

impl Edge {
    async fn route(&self, mut request: Request, request_id: &str) -> Result<Response, Problem> {
        if request.uri().path().starts_with("/health") {
            return answer(&self.health, request).await.map_err(say_which_methods);
        }
        let settings = &self.settings;
        let site = host::site(&request, &settings.base_domain, &settings.trusted_proxies)?;
        let address = host::client_address(&request, &settings.trusted_proxies);
        // Providers add parameters as they like, and send all that they have from a few addresses: only what is refused is a
        // stranger's. So is a token that is none, where it is found out; one that nobody looks at lets nobody pass.
        let path = request.original_uri().path().to_owned();
        let is_webhook = ["/webhooks/", "/api/v1/webhooks/"].iter().any(|at| path.starts_with(at));
        let takes_token = |rooms: &Rooms| {
            request.headers().contains_key(header::AUTHORIZATION)
                && rooms.operations.takes(request.method().as_str(), &path).token
        };
        let is_counted_later = match site {
            Site::Clinic(_) => is_webhook || takes_token(&self.clinic_rooms),
            Site::Platform => takes_token(&self.platform_rooms),
            Site::Landing | Site::Elsewhere => false,
        };
        if !is_counted_later {
            self.limits.stranger(address).await?;
        }
        let is_heard = is_webhook && matches!(site, Site::Clinic(_));
        let (realm, clinic, rooms) = match site {
            Site::Landing => {
                return answer(&self.landing, request).await.map_err(say_which_methods);
            }
            Site::Platform => (self.platform.clone(), None, &self.platform_rooms),
            Site::Clinic(slug) => {
                let clinic = self.clinic(&slug).await?;
                tracing::Span::current().record("clinic", &slug);
                (clinic.realm.clone(), Some(clinic), &self.clinic_rooms)
            }
            Site::Elsewhere => {
                return Err(crate::tenancy::directory::Closed::Unknown.into());
            }
        };
        let context = Context {
            realm,
            clinic,
            sessions: self.sessions.clone(),
            limits: self.limits.clone(),
            operations: rooms.operations.clone(),
            reads: self.reads.clone(),
            address,
            request_id: request_id.to_owned(),
        };
        let is_api = path.starts_with("/api/");
        let unread = if is_api && !is_webhook && request.method().is_safe() {
            context.unknown_query(&request)
        } else {
            Vec::new()
        };
        request.extensions_mut().insert(context);
        let outcome = answer(&rooms.routes, request).await;
        if is_heard && outcome.as_ref().is_err_and(|problem| problem.status.is_client_error()) {
            self.limits.stranger(address).await?;
        }
        match outcome {
            Ok(_) if !unread.is_empty() => Err(Problem::invalid(unread)),
            Err(problem) if problem.status == StatusCode::METHOD_NOT_ALLOWED && is_api => {
                Err(problem.header(header::ALLOW, &rooms.operations.allowed(&path)))
            }
            other => other.map_err(say_which_methods),
        }
    }

    async fn clinic(&self, slug: &str) -> Result<Arc<Clinic>, Problem> {
        if self.only_clinic.as_deref().is_some_and(|only| only != slug) {
            return Err(crate::tenancy::directory::Closed::Unknown.into());
        }
        Ok(self.directory.clinic(slug).await?)
    }

    fn finish(&self, response: &mut Response, request_id: &str) {
        let headers = response.headers_mut();
        let mut set = |name: header::HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::X_FRAME_OPTIONS, "DENY");
        set(header::REFERRER_POLICY, "same-origin");
        set(header::CACHE_CONTROL, "no-store");
        if self.settings.public_scheme == Scheme::Https {
            set(header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains");
        }
        if let Ok(value) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", value);
        }
    }
}

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// A page is there to be read.
fn say_which_methods(problem: Problem) -> Problem {
    match problem.status {
        StatusCode::METHOD_NOT_ALLOWED => problem.header(header::ALLOW, "GET, HEAD"),
        _ => problem,
    }
}

/// Runs routes, and turns every way of failing into a problem.
async fn answer(
    routes: &BoxEndpoint<'static, Response>,
    request: Request,
) -> Result<Response, Problem> {
    let outcome = AssertUnwindSafe(routes.call(request)).catch_unwind().await;
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        // An id that is not even UTF-8 names nothing, like any other that is none.
        Ok(Err(error)) if error.is::<ParsePathError>() => return Err(Problem::not_found()),
        Ok(Err(error)) => error.into_response(),
        Err(panic) => {
            let words = panic
                .downcast_ref::<&str>()
                .map(|words| (*words).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            return Err(Problem::internal(format!("panic: {words}")));
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err(problem);
    }
    // A page of ours says itself what is wrong; what the framework refuses, it refuses in plain text.
    if response.content_type().is_some_and(|said| said.starts_with("text/html")) {
        return Ok(response);
    }
    match response.status() {
        StatusCode::NOT_FOUND => Err(Problem::not_found()),
        StatusCode::METHOD_NOT_ALLOWED => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this path has no such method",
        )),
        status if status.is_client_error() => {
            Err(Problem::new(status, "bad-request", "this request could not be read"))
        }
        status if status.is_server_error() => Err(Problem::internal(status)),
        _ => Ok(response),
    }
}

/// Taken in when it is a sane token, made otherwise.
fn request_id(request: &Request) -> String {
    let given = request.header("x-request-id").filter(|id| {
        (8..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    });
    given.map_or_else(|| ids::new_uuid().to_string(), str::to_owned)
}

impl Endpoint for Edge {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let request_id = request_id(&request);
        let method = request.method().clone();
        let span = tracing::info_span!(
            "request",
            id = %request_id,
            method = %method,
            clinic = tracing::field::Empty,
        );
        let rest = Rest::of(&mut request);
        let routed = self.route(request, &request_id).instrument(span.clone()).await;
        let mut response = routed.unwrap_or_else(|problem| problem.render(&request_id));
        if method == Method::HEAD {
            response.take_body();
        }
        let operation = response.data::<OperationId>().map_or("other", |id| id.0);
        let status = response.status().as_u16();
        let took = began.elapsed();
        span.in_scope(|| tracing::info!(operation, status, took_ms = took.as_millis() as u64));
        crate::metrics::answered(operation, status, took);
        self.finish(&mut response, &request_id);
        rest.drop_before(&mut response).await;
        Ok(response)
    }
}
