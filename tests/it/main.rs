//! Tests against the real thing: one binary, one module a slice. `support` gives each test databases of its own.

#![allow(clippy::disallowed_methods, reason = "tests make ids, times and chances of their own")]

mod support;

mod accounts;
mod appointments;
mod audit;
mod auth;
mod budget;
mod calendar;
mod channels;
mod cli;
mod clinics_once;
mod delivery;
mod demo;
mod doctors;
mod embedded;
mod faults;
mod http;
mod idle;
mod imports;
mod isolation;
mod ledger;
mod ledger_model;
mod live;
mod locations;
mod messages;
mod midnight;
mod one_time_codes;
mod panics;
mod patients;
mod permissions;
mod plans;
mod platform;
mod pools;
mod queue;
mod rate_limits;
mod respond;
mod retention;
mod scheduling;
mod seed;
mod staff;
mod templates;
mod waitlist;
