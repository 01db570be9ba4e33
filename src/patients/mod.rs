//! The people a clinic cares for: found by part of a name in any script (one in an Indian script also as it is
//! spelt in Latin letters), by phone or by number; never lost.

pub mod api;
mod model;
mod store;

pub use model::{Gender, PatientRequest};
pub use store::insert;
