//! Appointments: nothing is booked twice. A visit claims its doctor and its patient, and the claims of one subject cannot
//! overlap: the database says so. Change, audit and message commit as one.

pub mod api;
mod book;
mod cancel;
mod diary;
mod fitting;
mod history;
pub mod history_api;
pub mod hold;
mod import;
mod model;
mod reschedule;
mod seats;
pub mod slots;
mod steps;
pub mod steps_api;
mod store;
mod tell;
mod video;

pub use book::{BookError, Booker, Word};
pub use import::{enter, record};
pub use model::{AppointmentRequest, Event, Kind, Status};
