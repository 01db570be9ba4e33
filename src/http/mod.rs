//! The wire: hosts, bodies, answers, errors, cursors, preconditions and repeats. Knows no slice.

pub mod body;
pub mod context;
pub mod edge;
pub mod etag;
pub mod fields;
pub mod host;
pub mod idempotency;
pub mod input;
pub mod limits;
pub mod openapi;
pub mod page;
pub mod path;
pub mod payload;
mod rest;
pub mod site;
