//! Bodies and queries, taken whole and read later: first who asks and what for, then the media type, then the
//! precondition, then every fault of shape and meaning in one answer. poem-openapi's own parsing stops at the first.

use std::marker::PhantomData;

use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaParamIn, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::body;
use super::context::Context;
use super::fields::{Fields, Frame, Readable};
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
    frame: Frame,
    kind: PhantomData<fn() -> T>,
}

impl<T: Readable> Input<T> {
    /// Refuses a body that is too large or no JSON by its media type (`413`, `415`).
    pub fn accept(&self) -> Result<(), Problem> {
        self.body.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Reads it, or names everything that is wrong.
    pub fn read(self) -> Result<T, Problem> {
        read_fields(self.fields()?, T::read)
    }

    /// As [`Input::read`], with a second look at what was read: rules that need what the database says. Where something could
    /// not be read at all there is nothing to look at.
    pub fn read_with(self, check: impl FnOnce(&mut Fields, &T)) -> Result<T, Problem> {
        read_fields(self.fields()?, |fields| {
            let read = T::read(fields)?;
            check(fields, &read);
            Some(read)
        })
    }

    /// Reads a replacement of `current`: its read-only members may be sent back unchanged.
    pub fn read_over<V: Serialize>(self, current: &V) -> Result<T, Problem> {
        self.read_over_keeping(current, &[])
    }

    /// As [`Input::read_over`], for a caller who may not change all that `T` reads: what is `kept` is read as it stands.
    pub fn read_over_keeping<V: Serialize>(self, current: &V, kept: &[&str]) -> Result<T, Problem> {
        let standing = serde_json::to_value(current).map_err(Problem::internal)?;
        let mut fields = self.fields()?;
        fields.replace(standing.as_object().cloned().unwrap_or_default(), kept);
        read_fields(fields, T::read)
    }

    /// As [`Input::read_over`], with a second look at what was read: rules that need more than one field, or what stands.
    pub fn read_over_with<V: Serialize>(
        self,
        current: &V,
        check: impl FnOnce(&mut Fields, &T),
    ) -> Result<T, Problem> {
        let standing = serde_json::to_value(current).map_err(Problem::internal)?;
        let mut fields = self.fields()?;
        fields.replace(standing.as_object().cloned().unwrap_or_default(), &[]);
        read_fields(fields, |fields| {
            let read = T::read(fields)?;
            check(fields, &read);
            Some(read)
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
                let mut fields = Fields::of_body(values, self.frame);
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
    let taken = body.take().map_err(Problem::internal)?;
    let bytes = body::whole(request.headers(), taken, BODY_LIMIT, "a JSON body").await?;
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
            frame: Context::of(request).frame(),
            kind: PhantomData,
        })
    }
}

/// Of an operation that takes neither body nor query: a parameter all the same is a misspelling. It is told where the faults
/// of a body would be: after what the path names and after the precondition, and before any conflict.
pub struct NoBody {
    query_faults: Vec<FieldError>,
}

impl NoBody {
    /// # Errors
    /// `422` for a query where there is none.
    pub fn read(&self) -> Result<(), Problem> {
        match self.query_faults.as_slice() {
            [] => Ok(()),
            faults => Err(Problem::invalid(faults.to_vec())),
        }
    }
}

impl<'a> FromRequest<'a> for NoBody {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self { query_faults: Context::of(request).unknown_query(request) })
    }
}

/// The query of a request. Its schema's properties become the operation's parameters (`http/openapi.rs`).
pub struct Query<T> {
    query: String,
    frame: Frame,
    kind: PhantomData<fn() -> T>,
}

impl<T: Readable> Query<T> {
    pub fn read(&self) -> Result<T, Problem> {
        read_fields(Fields::of_query(&self.query, self.frame.clone()), T::read)
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
        Ok(Self { query, frame: Context::of(request).frame(), kind: PhantomData })
    }
}
