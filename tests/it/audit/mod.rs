//! The audit log: nothing done or read without a row, no row lost, none changed without a trace.

mod asking;
mod racing;
mod reading;
mod sealing;
mod tampering;
mod writing;

use nadi::audit::{ChainKey, Verdict, verify};
use nadi::crypto::ClinicKeys;

use crate::support::{TestClinic, TestPlatform, until};

/// The key of a clinic's chain, from where it is kept.
async fn key(platform: &TestPlatform, clinic: &TestClinic) -> ChainKey {
    let row = platform.core.central.clinic_row(&clinic.slug).await.unwrap().unwrap();
    let root = platform.core.central.master.unwrap(clinic.id.0, &row.root_key_wrapped).unwrap();
    ChainKey::of(&ClinicKeys::derive(&root))
}

async fn known(platform: &TestPlatform, clinic: &TestClinic) -> Option<(i64, Vec<u8>)> {
    let mut central = platform.server.superuser(&platform.database).await;
    nadi::audit::known_head(&mut central, clinic.id.0).await.unwrap()
}

async fn verdict(platform: &TestPlatform, clinic: &TestClinic) -> Verdict {
    let (key, known) = (key(platform, clinic).await, known(platform, clinic).await);
    verify(&mut clinic.connection().await, &key, known).await.unwrap()
}

const UNSEALED: &str =
    "select count(*) from audit_log where id not in (select log_id from audit_seals)";

/// Waits until every row that there is has its link, and central knows the last.
async fn until_sealed(platform: &TestPlatform, clinic: &TestClinic) {
    until("every row is sealed", async || {
        let links = clinic.count("select count(*) from audit_seals").await;
        clinic.count(UNSEALED).await == 0
            && links > 0
            && known(platform, clinic).await.is_some_and(|(n, _)| n == links)
    })
    .await;
}
