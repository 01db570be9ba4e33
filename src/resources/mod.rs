//! What a visit may take beside its doctor and its patient: rooms, equipment, therapists. Each is claimed as they are, so that
//! nothing is taken twice.

pub mod api;
mod model;
mod store;
