//! The appointment book as a calendar: days, weeks and months for the screen, and feeds that other calendars subscribe to
//! (RFC 5545). It reads what appointments write, and changes none.

pub mod api;
mod content_line;
mod document;
pub mod feed_api;
mod feed_token;
mod rotate;
mod store;
mod view;
mod vtimezone;
