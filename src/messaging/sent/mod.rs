//! What became of messages, for those who answer for them: by which channel, through whom, with which outcome. Never what they
//! said.

pub mod api;
mod store;
