//! Doctors: what the public may know of them, when they sit where, and when they are away. Hours are changed as a whole; an
//! absence over standing visits is refused until somebody says what becomes of them.

pub mod api;
mod availability;
pub mod extra;
pub mod hours;
pub mod minute;
mod model;
mod replace_hours;
mod store;
mod time_off;

pub use availability::{AvailabilityRequest, Line};
pub use replace_hours::replace_hours;
