//! Messages: an intent from the outbox becomes a letter when it is sent, to the address and in the words that hold then.

pub mod channels;
pub mod deliver;
pub mod inbox;
pub mod letter;
pub mod post;

pub use channels::smtp::MailServer;
pub use post::Post;
