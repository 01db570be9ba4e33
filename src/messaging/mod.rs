//! Messages: an intent from the outbox becomes a letter when it is sent, to the address and in the words that hold then.

pub mod deliver;
pub mod inbox;
pub mod letter;
pub mod post;
mod smtp;

pub use post::Post;
pub use smtp::MailServer;
