//! Faces beside names: small images, known by their content and not by what they are said to be, kept in the clinic's database.

pub mod api;
mod image;
mod redraw;
mod store;
mod upload;
