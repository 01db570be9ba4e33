//! Lists: a limit, and a cursor that says where the last page ended. A cursor is opaque, and good for its own list only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fields::{Fields, integer};
use crate::error::Problem;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// `?limit=&cursor=`
#[derive(Clone, Debug)]
pub struct Page {
    pub limit: i64,
    cursor: Option<Value>,
}

const NOT_OURS: &str = "this cursor is not of this list";

/// The sort key in a cursor. PostgreSQL's text has no U+0000, so neither has a key of ours.
fn decoded(cursor: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let key: Value = serde_json::from_slice(&bytes).ok()?;
    (!key.is_null() && !key.to_string().contains("\\u0000")).then_some(key)
}

impl Page {
    pub fn read(fields: &mut Fields) -> Self {
        let limit = fields.optional("limit", integer(1, MAX_LIMIT)).unwrap_or(DEFAULT_LIMIT);
        let text = fields.optional("cursor", Ok);
        let cursor = text.as_ref().and_then(Value::as_str).and_then(decoded);
        if text.is_some() && cursor.is_none() {
            fields.set_malformed(NOT_OURS);
        }
        Self { limit, cursor }
    }

    /// Where the last page ended: the sort key of its last row.
    ///
    /// # Errors
    /// `400` for a cursor that is not of this list.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(key) = &self.cursor else { return Ok(None) };
        serde_json::from_value(key.clone()).map(Some).map_err(|_| Problem::bad_request(NOT_OURS))
    }

    /// One more than asked for, to learn whether there is more.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// A page of what [`Page::fetch`] found; `key` is the sort key of a row.
    pub fn of<T: Shown, K: Serialize>(
        &self,
        mut rows: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Listing<T> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| {
            let key = serde_json::to_vec(&key(row)).expect("sort keys are plain values");
            URL_SAFE_NO_PAD.encode(key)
        });
        Listing { items: rows, next_cursor }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, Object)]
pub struct Listing<T: Shown> {
    pub items: Vec<T>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
}

impl<T: Shown> Listing<T> {
    /// A list that is always whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// What a list may hold: a view with a schema.
pub trait Shown: Type + ToJSON + ParseFromJSON {}
impl<T: Type + ToJSON + ParseFromJSON> Shown for T {}
