//! Appointments: nothing is booked twice. A visit claims its doctor and its patient, and the claims of one subject cannot
//! overlap: the database says so. Change, audit and message commit as one.

mod ahead;
pub mod api;
mod book;
mod cancel;
mod diary;
mod fitting;
pub mod freed;
mod history;
pub mod history_api;
pub mod hold;
mod import;
mod model;
pub mod no_show;
#[cfg(test)]
mod properties;
mod reopen;
pub mod reopen_api;
pub mod reply;
mod reschedule;
mod seats;
pub mod series;
pub mod slots;
mod steps;
pub mod steps_api;
mod store;
mod tell;
mod token;
pub mod verify;
mod video;
pub mod walk_in;

pub use book::{BookError, Booker, Word, book};
pub use import::{enter, record};
pub use model::{AppointmentRequest, AppointmentView, Event, Kind, Overbook, Status};
