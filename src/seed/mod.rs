//! Realistic, repeatable clinics for a trial or a load test: people, places, hours and weeks of appointments.
//! A `Plan` is pure: the same seed on the same day makes the same people, with no clock and no chance of its own.
//! `write` puts it into a clinic's database. Nothing here sends anything: a seeded appointment has no outbox row.

mod diary;
mod dice;
mod names;
mod people;
mod places;
mod plan;
mod reasons;
mod shapes;
mod store;

pub use plan::{
    LoadShape, NoRoom, Plan, SeedAppointment, SeedAvailability, SeedDoctor, SeedLocation,
    SeedPatient, SeedTimeOff, SeedUser,
};
pub use shapes::{AROGYA, ClinicShape, SHANTI, Sees};
pub use store::{WriteError, write};
