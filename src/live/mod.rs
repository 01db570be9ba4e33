//! What happens, as it happens: `GET /live` tells those who watch a clinic which visit has changed, by ids alone, on whatever
//! instance. A row in the change's own transaction; one reader for each clinic and instance, while somebody watches.

pub mod api;
mod cursor;
mod door;
mod event;
mod hub;
mod note;
mod room;
mod store;
mod stream;
mod ticket;

pub use hub::Live;
pub use note::{Event, note};
