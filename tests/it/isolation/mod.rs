//! A request touches only the database of the clinic that its Host names: each of the four locks by itself.

mod hosts;
mod login_roles;
mod placements;
mod tokens;

use nadi::crypto::ClinicKeys;

use crate::support::{TestClinic, TestPlatform};

fn keys(platform: &TestPlatform, clinic: &TestClinic, wrapped: &[u8]) -> ClinicKeys {
    ClinicKeys::derive(&platform.core.central.master.unwrap(clinic.id.0, wrapped).unwrap())
}
