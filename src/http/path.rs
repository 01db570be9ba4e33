//! Ids in paths. One that is no id names nothing: `404`, like any other that is not there.

use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef};
use poem_openapi::types::ParseFromParameter;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::error::Problem;

/// A part of the path. (poem-openapi's own answers a malformed one with `400 text/plain`.)
pub struct Path<T>(pub T);

impl<'a, T: ParseFromParameter> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = T;
    type ParamRawType = T::RawValueType;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> Result<Self> {
        let value = request.raw_path_param(options.name).ok_or_else(Problem::not_found)?;
        if value.chars().any(char::is_control) {
            return Err(Problem::not_found().into()); // no name of ours has any, and U+0000 cannot even be asked for
        }
        Ok(T::parse_from_parameter(value).map(Self).map_err(|_| Problem::not_found())?)
    }
}
