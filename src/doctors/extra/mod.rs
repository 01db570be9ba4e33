//! Extra days: a doctor sits although the weekly hours do not say so. None overlaps another, nor the weekly hours of its day.

pub mod api;
mod model;
mod store;

pub use model::ExtraHoursView;
pub use store::to_come;
