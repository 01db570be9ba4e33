//! Messages: an intent from the outbox becomes words when it is sent, to the address and in the language that hold then.

pub mod channels;
pub mod deliver;
pub mod facts;
pub mod inbox;
pub mod kind;
pub mod post;
pub mod templates;

pub use channels::smtp::MailServer;
pub use post::Post;
