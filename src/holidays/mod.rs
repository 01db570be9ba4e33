//! Days on which nobody sits, at one location or at all of them. A holiday over standing visits is refused until somebody says what
//! becomes of them.

pub mod api;
mod model;
mod store;
