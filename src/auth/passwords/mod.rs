//! Changing a password, and getting another when it is forgotten. Whatever sets one ends the sessions that were opened with the
//! old one, and every other link to set one.

pub mod again;
pub mod api;
mod change;
mod forgot;
mod store;

pub use crate::auth::store::set_password as set;
pub use change::link_expired;
pub use store::end_other_sessions;
