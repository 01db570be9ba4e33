//! Bulk: weekly hours and appointments from CSV, all of a file or nothing of it. A dry run is the real one, rolled back: it names
//! everything that is wrong, by row and column.

pub mod api;
mod appointments;
mod availability;
mod body;
mod names;
mod sheet;
