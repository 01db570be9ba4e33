//! The clinic's rules of scheduling: how long visits of each kind are and what is kept free around them, how far ahead patients
//! book, how long a freed time is kept, when to remind, and where video visits take place.

pub mod api;
mod model;
mod store;

pub use model::SchedulingView;
pub use store::read as rules;
