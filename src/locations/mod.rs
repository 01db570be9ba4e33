//! The branches of a clinic. One in use, by hours or by visits still to come, is not removed.

pub mod api;
mod model;
mod store;
