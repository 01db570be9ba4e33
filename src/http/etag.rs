//! Preconditions: whoever changes a stored resource says which version of it he has seen.

use std::fmt;

use poem::http::{StatusCode, header};
use poem::{FromRequest, Request, RequestBody, Result};

use crate::error::Problem;

/// The version of a stored resource, as a strong tag: `"7"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag(pub i64);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// What the caller says of the version that he has seen.
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// For `PUT` and `PATCH`: it must be there, and current.
    ///
    /// # Errors
    /// `428` when missing, `412` when stale.
    pub fn require(&self, current: ETag) -> Result<(), Problem> {
        if self.0.is_none() {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "send If-Match with the ETag that you have seen, so that nobody's change is lost",
            ));
        }
        self.honour(current)
    }

    /// For `DELETE`: if it is there, it must be current.
    ///
    /// # Errors
    /// `412` when stale.
    pub fn honour(&self, current: ETag) -> Result<(), Problem> {
        let Some(given) = &self.0 else { return Ok(()) };
        // Proxies that compress weaken our tags, so weak forms of them count too.
        let matches = given
            .split(',')
            .map(|tag| tag.trim())
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current.to_string());
        if matches {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "somebody has changed it since you read it; read it again",
        ))
    }
}

impl<'a> FromRequest<'a> for IfMatch {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        // One that cannot be read is there all the same, and is no tag of ours.
        let values: Vec<_> = request
            .headers()
            .get_all(header::IF_MATCH)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        Ok(Self((!values.is_empty()).then(|| values.join(","))))
    }
}
