//! A body that is CSV, taken whole and judged later, as JSON bodies are (`http/input.rs`).

use poem::http::StatusCode;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::error::{FieldError, Problem};
use crate::http::body;
use crate::http::context::Context;
use crate::http::fields::Frame;
use crate::http::idempotency;
use crate::http::input::BODY_LIMIT;

/// A CSV file.
pub struct Csv {
    body: Result<Vec<u8>, Problem>,
    key_fault: Option<FieldError>,
    /// By what its cells are read.
    pub frame: Frame,
}

impl Csv {
    /// The file.
    ///
    /// # Errors
    /// `413`, `415`, or `422` for an idempotency key that is none.
    pub fn take(self) -> Result<Vec<u8>, Problem> {
        let body = self.body?;
        match self.key_fault {
            Some(fault) => Err(Problem::invalid(vec![fault])),
            None => Ok(body),
        }
    }
}

async fn take(request: &Request, taken: &mut RequestBody) -> Result<Vec<u8>, Problem> {
    let taken = taken.take().map_err(Problem::internal)?;
    let bytes = body::whole(
        request.headers(),
        taken,
        BODY_LIMIT,
        "a file, which can be imported in parts,",
    )
    .await?;
    let is_csv = request.content_type().is_some_and(|said| {
        let essence = said.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/csv")
    });
    if !is_csv {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send text/csv",
        ));
    }
    Ok(bytes)
}

impl<'a> ApiExtractor<'a> for Csv {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(_: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let content = vec![MetaMediaType { content_type: "text/csv", schema }];
        Some(MetaRequest {
            description: Some("UTF-8, with a line of column names"),
            content,
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self {
            body: take(request, body).await,
            key_fault: idempotency::fault(request),
            frame: Context::of(request).frame(),
        })
    }
}
