//! Second factors: one-time codes of an app (RFC 6238), and recovery codes for those who lost it. A code is good once, guesses
//! are counted where nobody can use them up for somebody else, and what a database tells lets nobody in.

pub mod api;
mod enrol;
mod judge;
mod recovery;
pub mod settings;
mod store;
mod totp;

pub use api::ProofRequest;
pub use enrol::{prove, take_away};
pub use judge::{Judged, Offered, Proof, invalid, judge, required};
pub use store::{factor, remove as forget};
