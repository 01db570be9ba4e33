//! What messages say: the product's texts in four languages, a clinic's own over them, filled in with the facts that hold
//! when a message is sent. A subject never names a condition, a doctor or a medicine: others read over shoulders.
//!
//! - `placeholder`, `pattern`, `template`: a text with places to fill in. `registered`: texts that operators know to the letter.
//! - `builtin`, `texts/`: the product's own. `book`: those of a clinic. `words`: facts in words, as each channel takes them.

pub mod book;
mod builtin;
mod html;
pub mod language;
mod pattern;
mod placeholder;
mod registered;
mod store;
mod template;
mod words;

pub use book::{Book, Books};
pub use language::Language;
pub use words::{About, Said, Words, WordsError};
