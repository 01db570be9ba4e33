//! The conventions of every answer: which refusal comes first, what a problem looks like, what no input may break.

mod answers;
mod bodies;
mod description;
mod places;
mod refusals;

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::Caller;

fn two_mebibytes() -> String {
    json!({ "full_name": "x".repeat(2 * 1024 * 1024) }).to_string()
}

fn faults(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(place, code)| ((*place).to_owned(), (*code).to_owned())).collect()
}

/// A request with a JSON body given as text.
fn with_body(
    caller: &Caller,
    method: Method,
    path: &str,
    body: impl Into<String>,
) -> RequestBuilder {
    caller.request(method, path).header("content-type", "application/json").body(body.into())
}
