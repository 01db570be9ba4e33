//! The waitlist: who could not have the time that he wanted says when he could come. A time that is given back is offered to the
//! first of them whom it fits, kept for him for a while, and passed on when he lets it pass.
//!
//! A freed time (`appointments/freed.rs`) is a chore; so is the end of an offer. Nothing is lost when a process dies in between.

mod accept;
pub mod api;
mod end;
mod leave;
mod line;
mod model;
mod offer;
pub mod reply;
mod store;

pub use end::{LAPSED, lapse};
pub use offer::job as offer_freed_time;
