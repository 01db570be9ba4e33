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
        if names(given, current) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "somebody has changed it since you read it; read it again",
        ))
    }
}

/// What the caller has read already.
pub struct IfNoneMatch(Option<String>);

impl IfNoneMatch {
    /// Whether the caller has this version: `304` then. Compared weakly, as RFC 9110 asks.
    pub fn has(&self, current: ETag) -> bool {
        self.0.as_deref().is_some_and(|given| names(given, current))
    }
}

impl<'a> FromRequest<'a> for IfNoneMatch {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self(listed(request, header::IF_NONE_MATCH)))
    }
}

/// Proxies that compress weaken our tags, so weak forms of them count too.
fn names(given: &str, current: ETag) -> bool {
    let mut tags = given.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current.to_string())
}

/// A header's values, as one list. One that cannot be read is there all the same, and is no tag of ours.
fn listed(request: &Request, name: header::HeaderName) -> Option<String> {
    let values: Vec<_> = request
        .headers()
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

impl<'a> FromRequest<'a> for IfMatch {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self(listed(request, header::IF_MATCH)))
    }
}
