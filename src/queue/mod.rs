//! The queue: whose turn it is with a doctor, at a location, on a day there, and about how long the others wait. Tokens are given at
//! checking in (`appointments/token.rs`); boards for a waiting room show them, and nobody's name.

pub mod api;
mod board;
mod call;
pub mod display;
pub mod display_api;
mod display_link;
pub mod display_page;
mod line;
mod model;
mod order;
mod store;
mod wait;
pub mod walk_in_api;
