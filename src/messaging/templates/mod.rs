//! What messages say: the product's texts in four languages, a clinic's own over them, filled in with the facts that hold
//! when a message is sent. A subject never names a condition, a doctor or a medicine: others read over shoulders.
//!
//! - `placeholder`, `pattern`, `template`: a text with places to fill in.
//! - `check`, `sample`: what a clinic's own text must keep to, and a look at it.
//! - `builtin`, `texts/`: the product's own. `book`: those of a clinic. `words`: facts in words, as each channel takes them.

pub mod api;
pub mod book;
mod builtin;
pub mod check;
mod html;
pub mod language;
mod pattern;
mod placeholder;
pub mod sample;
mod store;
pub mod template;
mod view;
mod words;

pub use book::{Book, Books};
pub use language::Language;
pub use words::{About, Said, Words, WordsError};
