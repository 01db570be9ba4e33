//! Who comes in to listen: with a token as everywhere, or with a ticket in the address.

use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::ticket;
use crate::auth::May;
use crate::auth::may::ReadAppointments;
use crate::error::Problem;
use crate::http::context::Context;

/// The caller, who may see appointments.
pub struct Visitor(pub May<ReadAppointments>);

fn ticket_of(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "ticket").map(|(_, ticket)| ticket.into_owned())
}

impl<'a> ApiExtractor<'a> for Visitor {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        May::<ReadAppointments>::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        May::<ReadAppointments>::security_schemes()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        // In place of a token: one that is there is looked at, as everywhere.
        let shows_token = request.headers().contains_key(header::AUTHORIZATION);
        let Some(ticket) = ticket_of(request).filter(|_| !shows_token) else {
            return Ok(Self(May::from_request(request, body, options).await?));
        };
        let verified = ticket::open(&Context::of(request).realm, &ticket).ok_or_else(|| {
            Problem::unauthenticated("this ticket is not good here, or no longer: ask for another")
        })?;
        Ok(Self(May::of(request, verified).await?))
    }
}
