//! A body that is an image, taken whole and judged later, as JSON bodies are (`http/input.rs`).

use poem::http::StatusCode;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::image::{self, BYTES, SIDE};
use crate::error::{FieldError, Problem};
use crate::http::body;
use crate::http::context::Context;

pub const TYPES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

pub struct Upload {
    body: Result<Vec<u8>, Problem>,
    query_faults: Vec<FieldError>,
}

impl Upload {
    /// Refuses what is too large, or is said to be something else (`413`, `415`).
    pub fn accept(&self) -> Result<(), Problem> {
        self.body.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Its bytes, if it begins as an image does.
    ///
    /// # Errors
    /// `422`
    pub fn read(self) -> Result<Vec<u8>, Problem> {
        let bytes = self.body?;
        let fault = |code, message: String| FieldError::body("", code, message);
        let read = match image::read(&bytes) {
            None => Err(fault("invalid_format", "expected a PNG, JPEG or WebP image".into())),
            Some(image) if image.width.max(image.height) > SIDE => {
                Err(fault("too_large", format!("at most {SIDE} pixels on each side")))
            }
            Some(_) => Ok(()),
        };
        match read {
            Ok(()) if self.query_faults.is_empty() => Ok(bytes),
            read => {
                let faults = read.err().into_iter().chain(self.query_faults);
                Err(Problem::invalid(faults.collect()))
            }
        }
    }
}

async fn take(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, Problem> {
    let taken = body.take().map_err(Problem::internal)?;
    let bytes = body::whole(request.headers(), taken, BYTES, "an image").await?;
    let is_image = request.content_type().is_some_and(|said| {
        let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        TYPES.contains(&essence.as_str())
    });
    if !is_image {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send image/png, image/jpeg or image/webp",
        ));
    }
    Ok(bytes)
}

/// An image in the description.
pub fn media_types() -> Vec<MetaMediaType> {
    let schema =
        || MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")));
    TYPES.iter().map(|content_type| MetaMediaType { content_type, schema: schema() }).collect()
}

impl<'a> ApiExtractor<'a> for Upload {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(_: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { description: None, content: media_types(), required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let query_faults = Context::of(request).unknown_query(request);
        Ok(Self { body: take(request, body).await, query_faults })
    }
}
