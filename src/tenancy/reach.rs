//! Which clinics this process found out of reach. The wake-up ledger puts such a clinic off for up to five minutes, so
//! whoever sees it answer again hints, with no grace (docs/architecture.md, the ledger).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::hinter::Hinter;
use super::pools::Reached;
use crate::ids::ClinicId;

/// Outlives the pools: a clinic may get a new one between failing and answering.
pub struct Reach {
    lost: Mutex<HashSet<ClinicId>>,
    hinter: Hinter,
}

impl Reach {
    pub fn new(hinter: Hinter) -> Arc<Self> {
        Arc::new(Self { lost: Mutex::default(), hinter })
    }

    /// What a clinic's pool tells of each attempt to connect.
    pub fn of(self: &Arc<Self>, clinic: ClinicId) -> Reached {
        let reach = self.clone();
        Arc::new(move |reached| reach.note(clinic, reached))
    }

    fn note(&self, clinic: ClinicId, reached: bool) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match reached {
            false => drop(lost.insert(clinic)),
            true if lost.remove(&clinic) => {
                tracing::info!(%clinic, "answers again");
                drop(self.hinter.hint(clinic.0, Duration::ZERO)); // made, or owed: nobody needs to wait for it
            }
            true => {}
        }
    }
}
