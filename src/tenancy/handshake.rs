//! The fourth lock of promise 1: each new connection reads whose database it has reached, and at what level it stands.
//! A database that belongs to another clinic is refused, and an alarm raised.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use super::migrate;
use super::pools::{Handshake, HandshakeError};
use crate::ids::ClinicId;

/// The handshake of one clinic's pool.
pub fn of_clinic(expected: ClinicId) -> Handshake {
    Arc::new(move |connection| Box::pin(check(connection, expected)))
}

/// The handshake of the central database and of provisioning: none, their URL is the operator's own.
pub fn none() -> Handshake {
    Arc::new(|_| Box::pin(async { Ok(()) }))
}

async fn check(connection: &mut PgConnection, expected: ClinicId) -> Result<(), HandshakeError> {
    let (found, level, min_binary): (Option<ClinicId>, i32, i32) =
        sqlx::query_as("select clinic_id, schema_level, min_binary_level from clinic_identity")
            .fetch_one(connection)
            .await?;
    if found != Some(expected) {
        tracing::error!(%expected, ?found, "ALARM: a clinic's placement leads to another database");
        crate::metrics::ALARMS.with_label_values(&["wrong_database"]).inc();
        return Err(HandshakeError::Mismatch(format!(
            "this database belongs to clinic {found:?}, not to {expected}"
        )));
    }
    let (from, to) = (migrate::MIN_LEVEL, migrate::tenant_level());
    if level < from || min_binary > to {
        return Err(HandshakeError::NotReady(format!(
            "it is at level {level}, for binaries from {min_binary} on; this one serves {from} to {to}"
        )));
    }
    Ok(())
}
