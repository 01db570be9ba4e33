//! nadi: a clinic platform. One binary, one central PostgreSQL database, one database for each clinic.
//! This list of modules is the table of contents of the product.

// ── ground floor: knows no slice ──
pub mod actor;
pub mod audit;
pub mod auth;
pub mod chores;
pub mod config;
pub mod crypto;
pub mod db;
pub mod embedded; // a PostgreSQL of our own
pub mod error;
pub mod http;
pub mod ids;
pub mod live;
pub mod metrics;
pub mod money;
pub mod outbox;
pub mod retention;
pub mod tenancy;
pub mod time;
pub mod worker;

// ── the slices: one for each capability ──
pub mod appointments;
pub mod calendar;
pub mod doctors;
pub mod holidays;
pub mod imports;
pub mod locations;
pub mod messaging;
pub mod one_time_codes;
pub mod patients;
pub mod platform;
pub mod queue;
pub mod resources;
pub mod respond;
pub mod scheduling;
pub mod staff;
pub mod waitlist;

// ── for demos and load tests ──
pub mod seed;

// ── the wiring ──
pub mod app;
pub mod cli;
