//! Patients sign in by one-time code: asked for by phone or e-mail, good for five minutes, five guesses and one use. Whether
//! anybody has that phone is looked up when the message goes out, after the answer: until then known and unknown are
//! the same rows, written by the same statements. What limits count is counted in the clinic's database, so that every
//! instance counts alike.

pub mod account_status;
mod addressed;
pub mod api;
mod ask;
mod choose;
mod device;
mod model;
mod people;
mod sms;
mod store;
mod verify;

pub use addressed::{Addressed, Unaddressed, addressed};
pub use sms::take as take_sms;
