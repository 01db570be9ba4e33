//! The one way to providers over HTTP. Every call is bounded: to connect, to the first byte, in all, in the size of the
//! answer, and in how many are under way. Redirects are not followed; no proxy is taken from the environment.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, redirect};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::guard::{AllowList, Barred, GuardedNames, Unusable};
use super::lanes::Lanes;
use super::{ErrorClass, Failure, Lane, Reached, backoff};
use crate::ids::ClinicId;
use crate::time::Clock;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connect: Duration,
    pub first_byte: Duration,
    pub total: Duration,
    pub total_for_codes: Duration,
    /// A file takes longer to hand over than a message.
    pub total_for_files: Duration,
    pub answer_bytes: usize,
    pub calls_for_each_host: usize,
    pub calls_for_each_clinic: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(5),
            total: Duration::from_secs(10),
            total_for_codes: Duration::from_secs(4),
            total_for_files: Duration::from_secs(60),
            answer_bytes: 64 * 1024,
            calls_for_each_host: 64,
            calls_for_each_clinic: 8,
        }
    }
}

/// The clients of one process.
pub struct Http {
    trusted: Client,
    guarded: Client,
    allowed: Arc<AllowList>,
    lanes: Lanes,
    limits: Limits,
    clock: Clock,
}

/// Who said where to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The platform's settings: anywhere.
    ByPlatform,
    /// A clinic's settings: where the platform's allow list lets it.
    ByClinic,
}

/// A call to a provider. It has no `Debug`: headers, address and body hold secrets.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub named: Named,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub is_file: bool,
}

/// What came back.
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The whole of it, or why there is no whole.
    pub body: Result<Vec<u8>, &'static str>,
}

impl Http {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: Limits, allowed: AllowList, clock: Clock) -> Result<Self, reqwest::Error> {
        // The authorities that come with the product, as for mail: the same on every machine, a bare container included.
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::trusting(roots, limits, allowed, clock)
    }

    /// One that believes these authorities and no others.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn trusting(
        roots: RootCertStore,
        limits: Limits,
        allowed: AllowList,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        let tls = tls(roots);
        let trusted = builder(&limits, tls.clone()).build()?;
        let guarded =
            builder(&limits, tls).dns_resolver(Arc::new(GuardedNames(allowed.clone()))).build()?;
        let lanes = Lanes::new(limits.calls_for_each_host, limits.calls_for_each_clinic);
        Ok(Self { trusted, guarded, allowed, lanes, limits, clock })
    }

    /// Where clinics may have us call.
    pub fn allowed(&self) -> &AllowList {
        &self.allowed
    }

    /// Calls, and gives whatever answer came. Dropped before its end, it leaves nothing behind but a call that may have been
    /// acted on.
    ///
    /// # Errors
    /// When no answer came, or it may not be asked for.
    pub async fn call(
        &self,
        clinic_id: ClinicId,
        lane: Lane,
        time_left: Duration,
        request: Request,
    ) -> Result<Reply, Failure> {
        let total = match (request.is_file, lane) {
            (true, _) => self.limits.total_for_files,
            (false, Lane::Codes) => self.limits.total_for_codes,
            (false, Lane::Others) => self.limits.total,
        };
        let deadline = Instant::now() + total.min(time_left);
        let client = match request.named {
            Named::ByPlatform => &self.trusted,
            Named::ByClinic => {
                self.allowed.check(&request.url).map_err(barred)?;
                &self.guarded
            }
        };
        let Some(host) = request.url.host_str() else {
            return Err(Failure::ours("no_host", "the provider's address has no host"));
        };
        let wait = deadline.duration_since(Instant::now());
        let _place =
            self.lanes.enter(clinic_id, host, lane, wait).await.ok_or_else(|| Failure {
                code: Some("busy".into()),
                ..Failure::new(ErrorClass::Pace, Reached::Nothing, "no call could be made in time")
            })?;
        let first_byte = match request.is_file {
            true => deadline,
            false => deadline.min(Instant::now() + self.limits.first_byte),
        };
        let sending = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send();
        let answer = match timeout_at(first_byte, sending).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unanswered(&error)),
            Err(_) => {
                return Err(Failure::wire(
                    Reached::Perhaps,
                    "no_answer",
                    "the provider took too long to answer",
                ));
            }
        };
        let status = answer.status().as_u16();
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|text| backoff::retry_after(text, self.clock.now()));
        let body = match timeout_at(deadline, self.read(answer)).await {
            Ok(body) => body,
            Err(_) => Err("the answer took too long"),
        };
        Ok(Reply { status, retry_after, body })
    }

    /// Reads as much as may be, and not a byte of what is too long.
    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, &'static str> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| "the answer broke off")? {
            if body.len() + chunk.len() > self.limits.answer_bytes {
                return Err("the answer is too long");
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, &'static str> {
        let body = self.body.as_ref().map_err(|why| *why)?;
        serde_json::from_slice(body).map_err(|_| "the answer is not JSON")
    }
}

impl Request {
    /// A POST of JSON to where the platform says.
    pub fn json(url: Url, body: &serde_json::Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let named = Named::ByPlatform;
        Self {
            method: Method::POST,
            url,
            named,
            headers,
            body: body.to_string().into(),
            is_file: false,
        }
    }

    /// A POST of a form to where the platform says.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let named = Named::ByPlatform;
        Self { method: Method::POST, url, named, headers, body: body.into(), is_file: false }
    }

    /// Adds a header that nobody will see in a log.
    ///
    /// # Errors
    /// When the value cannot be one of a header.
    pub fn secret_header(
        mut self,
        name: HeaderName,
        value: &SecretString,
    ) -> Result<Self, Failure> {
        self.headers.insert(name, secret_value(value.expose_secret())?);
        Ok(self)
    }
}

/// A header's value that nobody will see in a log.
///
/// # Errors
/// When it holds control characters.
pub(super) fn secret_value(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Failure::ours("bad_header", "a header's value holds control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn barred(why: Barred) -> Failure {
    Failure {
        code: Some("barred".into()),
        ..Failure::new(ErrorClass::Account, Reached::Nothing, &why.to_string())
    }
}

/// What is known of a call without an answer. The library's own words may hold the address, and with it a key.
fn unanswered(error: &reqwest::Error) -> Failure {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(Unusable::PointsInside) = inner.downcast_ref() {
            return barred(Barred::Private);
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            let says = format!("TLS with the provider failed: {tls}");
            return Failure::wire(Reached::Nothing, "tls", &says);
        }
        // An I/O error may wrap the one that matters, which its `source` then passes over.
        cause = match inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn std::error::Error + 'static)),
            None => inner.source(),
        };
    }
    if error.is_builder() {
        return Failure::ours("bad_request", "the request could not be built");
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => {
            Failure::wire(Reached::Nothing, "connect", "connecting to the provider took too long")
        }
        (true, false) => {
            Failure::wire(Reached::Nothing, "connect", "the provider could not be connected to")
        }
        _ => {
            Failure::wire(Reached::Perhaps, "broke_off", "the provider broke off without an answer")
        }
    }
}

fn builder(limits: &Limits, tls: ClientConfig) -> reqwest::ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(limits.connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(limits.calls_for_each_host)
        .user_agent(concat!("nadi/", env!("CARGO_PKG_VERSION")))
}

fn tls(roots: RootCertStore) -> ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions that rustls does")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
