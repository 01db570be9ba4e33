//! Who agreed to what messages, or took it back. Nothing is overwritten: the newest word on a kind and channel counts.

pub mod api;
mod model;
mod store;

pub use model::{ConsentKind, ConsentView};
pub use store::{Said, language_of, note, would_hear};
