//! Messages: an intent from the outbox becomes words when it is sent, to the address and in the language that hold then.

pub mod channels;
pub mod consents;
pub mod deliver;
pub mod facts;
pub mod inbox;
pub mod kind;
pub mod policy;
pub mod post;
pub mod sent;
pub mod settings;
mod store;
pub mod templates;
pub mod unsubscribe;
pub mod webhooks;

pub use channels::smtp::MailServer;
pub use post::Post;
