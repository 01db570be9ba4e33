//! Bodies and queries, taken whole and read later: first who asks and what for, then the media type, then the
//! precondition, then every fault of shape and meaning in one answer. poem-openapi's own parsing stops at the first.

use std::marker::PhantomData;

use poem::http::{StatusCode, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaParamIn, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::context::Context;
use super::fields::{Fields, Readable};
use super::idempotency;
use crate::error::{FieldError, Problem};

/// The largest JSON body that is read.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The body of a request, described by `T`'s schema and read by `T`'s reader.
pub struct Input<T> {
    body: Result<Vec<u8>, Problem>,
    /// Faults of the same request's headers and query, told together with the body's.
    header_faults: Vec<FieldError>,
    query_faults: Vec<FieldError>,
    country: String,
    kind: PhantomData<fn() -> T>,
}

impl<T: Readable> Input<T> {
    /// Refuses a body that is too large or no JSON by its media type (`413`, `415`).
    pub fn accept(&self) -> Result<(), Problem> {
        self.body.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// National phone numbers in it are of this country (ISO 3166, two letters).
    pub fn in_country(mut self, country: &str) -> Self {
        self.country = country.to_owned();
        self
    }

    /// Reads it, or names everything that is wrong.
    pub fn read(self) -> Result<T, Problem> {
        self.read_with(|_, _| {})
    }

    /// As [`Input::read`], with a second look at what was read: rules that need more than one field, or the clock.
    pub fn read_with(self, check: impl FnOnce(&mut Fields, &T)) -> Result<T, Problem> {
        read_fields(self.fields()?, |fields| {
            let read = T::read(fields)?;
            check(fields, &read);
            Some(read)
        })
    }

    /// Reads a replacement of `current`: its read-only members may be sent back unchanged.
    pub fn read_over<V: Serialize>(
        self,
        current: &V,
        check: impl FnOnce(&mut Fields, &T),
    ) -> Result<T, Problem> {
        let standing = serde_json::to_value(current).map_err(Problem::internal)?;
        let standing = standing.as_object().cloned().unwrap_or_default();
        read_fields(self.fields()?, |fields| {
            let read = T::read(fields);
            if let Some(read) = &read {
                check(fields, read);
            }
            fields.leave_unchanged(&standing);
            read
        })
    }

    /// What an idempotency key is bound to.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.body.as_deref().unwrap_or_default()).into()
    }

    fn fields(self) -> Result<Fields, Problem> {
        let body = self.body?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(values)) => {
                let mut fields = Fields::of_body(values);
                fields.set_country(&self.country);
                fields.set_outside(self.header_faults, self.query_faults);
                Ok(fields)
            }
            Ok(_) => Err(Problem::bad_request("expected a JSON object")),
            Err(error) => Err(Problem::bad_request(format!("malformed JSON: {error}"))),
        }
    }
}

fn read_fields<T>(
    mut fields: Fields,
    read: impl FnOnce(&mut Fields) -> Option<T>,
) -> Result<T, Problem> {
    let read = read(&mut fields);
    if let Some(detail) = fields.malformed() {
        return Err(Problem::bad_request(detail));
    }
    let errors = fields.finish();
    match read {
        Some(read) if errors.is_empty() => Ok(read),
        _ => Err(Problem::invalid(errors)),
    }
}

async fn take_body(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("a JSON body may have at most {BODY_LIMIT} bytes"),
        )
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large()); // the edge reads and drops it (`rest.rs`)
    }
    let broken = |_| Problem::bad_request("the body broke off");
    let reader = body.take().map_err(Problem::internal)?.into_async_read();
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(BODY_LIMIT));
    reader.take(BODY_LIMIT as u64 + 1).read_to_end(&mut bytes).await.map_err(broken)?;
    if bytes.len() > BODY_LIMIT {
        return Err(too_large());
    }
    let is_json = request.content_type().is_some_and(|media_type| {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send application/json",
        ));
    }
    Ok(bytes)
}

impl<'a, T: Readable + Type> ApiExtractor<'a> for Input<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self {
            body: take_body(request, body).await,
            header_faults: idempotency::fault(request).into_iter().collect(),
            query_faults: Context::of(request).unknown_query(request),
            country: String::new(),
            kind: PhantomData,
        })
    }
}

/// The query of a request. Its schema's properties become the operation's parameters (`http/openapi.rs`).
pub struct Query<T> {
    query: String,
    kind: PhantomData<fn() -> T>,
}

impl<T: Readable> Query<T> {
    pub fn read(&self) -> Result<T, Problem> {
        read_fields(Fields::of_query(&self.query), T::read)
    }
}

impl<'a, T: Readable + Type> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        Ok(Self { query, kind: PhantomData })
    }
}
