//! What tests stand on: one embedded PostgreSQL for a whole run, databases of its own for each test, a server in this process
//! behind a real socket, and callers of every role.

#![allow(dead_code, unused_imports, reason = "each test module uses its own part")]

mod caller;
mod clinic;
pub mod dkim;
mod frozen;
mod platform;
mod postgres;
mod process;
pub mod providers;
mod smtp;
mod until;

pub use caller::{Answer, Caller};
pub use clinic::TestClinic;
pub use frozen::Frozen;
pub use platform::{Options, PASSWORD, TestPlatform};
pub use postgres::{ScratchDatabase, TestServer};
pub use process::{Process, Ran, nadi, nadi_reading};
pub use smtp::{Mail, Mood, SmtpServer};
pub use until::until;
