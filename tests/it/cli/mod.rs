//! The command line, as an operator meets it: help, settings, exit codes, and each command against a real database.

mod admin;
mod clinics;
mod doctor;
mod fleet;
mod schema;
mod settings;
mod usage;

use crate::support::{Options, TestPlatform};

/// A migrated central database, and nobody who serves.
async fn registry() -> TestPlatform {
    TestPlatform::with(Options { no_server: true, ..Options::default() }).await
}

/// An empty central database.
async fn empty() -> TestPlatform {
    TestPlatform::with(Options { unmigrated: true, ..Options::default() }).await
}

/// The settings, and one more instead of any of its name.
fn with(settings: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let mut settings = settings.to_vec();
    settings
        .retain(|(known, _)| known != name && Some(known.as_str()) != name.strip_suffix("_FILE"));
    settings.push((name.to_owned(), value.to_owned()));
    settings
}
