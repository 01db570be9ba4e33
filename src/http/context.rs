//! What the edge knows of a request before any slice sees it: whose host, which realm, from where, under what id.

use std::net::IpAddr;
use std::sync::Arc;

use chrono_tz::Tz;
use poem::Request;

use super::fields::Frame;
use super::limits::Limits;
use super::openapi::Operations;
use crate::audit::Reads;
use crate::auth::Sessions;
use crate::error::{FieldError, Problem};
use crate::tenancy::{Clinic, Realm};

/// Put into each request by the edge, once its host is known.
#[derive(Clone)]
pub struct Context {
    pub realm: Arc<Realm>,
    /// None on the platform's host.
    pub clinic: Option<Arc<Clinic>>,
    pub sessions: Arc<Sessions>,
    pub limits: Arc<Limits>,
    pub operations: Arc<Operations>,
    /// Where reads of personal data are noted.
    pub reads: Arc<Reads>,
    pub address: Option<IpAddr>,
    pub request_id: String,
}

impl Context {
    /// # Panics
    /// Outside the edge: every route lies inside it.
    pub fn of(request: &Request) -> &Context {
        request.extensions().get().expect("every route lies inside the edge")
    }

    /// By what its fields are read.
    pub fn frame(&self) -> Frame {
        let clinic = self.clinic.as_deref();
        Frame {
            now: self.realm.clock.now(),
            zone: clinic.map_or(Tz::UTC, |clinic| clinic.zone),
            country: clinic.map(|clinic| clinic.country.clone()).unwrap_or_default(),
        }
    }

    /// Query parameters where an operation has none: a misspelling must not be lost silently. Reading is refused at the edge,
    /// once it is known that there is something to read; changes read theirs themselves (`input.rs`).
    pub fn unknown_query(&self, request: &Request) -> Vec<FieldError> {
        let query = request.uri().query().unwrap_or_default();
        let path = request.original_uri().path();
        if query.is_empty() || self.operations.takes(request.method().as_str(), path).query {
            return Vec::new();
        }
        url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, _)| {
                FieldError::outside(
                    "query",
                    name,
                    "unknown_field",
                    "there is no parameter of this name",
                )
            })
            .collect()
    }
}

/// The clinic whose host was named.
pub struct Here(pub Arc<Clinic>);

impl std::ops::Deref for Here {
    type Target = Arc<Clinic>;

    fn deref(&self) -> &Arc<Clinic> {
        &self.0
    }
}

impl<'a> poem::FromRequest<'a> for Here {
    async fn from_request(request: &'a Request, _: &mut poem::RequestBody) -> poem::Result<Self> {
        let clinic = Context::of(request).clinic.clone();
        Ok(Here(clinic.ok_or_else(Problem::not_found)?))
    }
}

/// What is known of a request to the platform's own host.
pub struct OnPlatform(Context);

impl std::ops::Deref for OnPlatform {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl<'a> poem::FromRequest<'a> for OnPlatform {
    async fn from_request(request: &'a Request, _: &mut poem::RequestBody) -> poem::Result<Self> {
        Ok(Self(Context::of(request).clone()))
    }
}

/// The caller of an operation that anybody may call, signed in or not.
pub struct Anybody {
    pub context: Context,
    pub device: String,
}

impl Anybody {
    pub fn actor(&self) -> crate::audit::Actor {
        crate::audit::Actor {
            address: self.context.address,
            request_id: Some(self.context.request_id.clone()),
            ..Default::default()
        }
    }
}

impl std::ops::Deref for Anybody {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl<'a> poem::FromRequest<'a> for Anybody {
    async fn from_request(request: &'a Request, _: &mut poem::RequestBody) -> poem::Result<Self> {
        let context = Context::of(request).clone();
        let device: String = request
            .header(poem::http::header::USER_AGENT)
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        Ok(Self { context, device })
    }
}
