//! What the worker hands over: chores are done here, everything else is a message.

use std::sync::Arc;

use uuid::Uuid;

use super::{Chores, PREFIX};
use crate::ids::ClinicId;
use crate::outbox::{Delivery, Handed, OutboxRow, Turns};
use crate::tenancy::Directory;
use crate::tenancy::pools::Conn;
use crate::worker::{Clinics, Unreachable};

/// The worker's clinics: `messages` delivers, `chores` are done.
pub struct Rounds<M> {
    pub messages: M,
    pub directory: Arc<Directory>,
    pub chores: Chores,
}

impl<M: Clinics> Clinics for Rounds<M> {
    async fn central(&self) -> sqlx::Result<Conn> {
        self.messages.central().await
    }

    async fn connection(&self, clinic_id: Uuid) -> Result<Conn, Unreachable> {
        self.messages.connection(clinic_id).await
    }

    async fn deliver(&self, clinic_id: Uuid, row: OutboxRow) -> Handed {
        if !row.purpose.starts_with(PREFIX) {
            return self.messages.deliver(clinic_id, row).await;
        }
        match self.directory.clinic_by_id(ClinicId(clinic_id)).await {
            Ok(clinic) => self.chores.run(clinic, &row).await.into(),
            // Suspended or moved just now: not the chore's fault, and its wake-up stands.
            Err(closed) => {
                let error = crate::error::Problem::from(closed).to_string();
                Delivery::RetryIn { delay: super::LONGEST_PAUSE / 60, error }.into()
            }
        }
    }

    fn turns(&self) -> &Turns {
        self.messages.turns()
    }

    async fn looked_after(&self, clinic_id: Uuid) {
        self.messages.looked_after(clinic_id).await;
    }
}
