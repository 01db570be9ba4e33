//! From an intent to a provider, for the worker: read the facts, choose by the policy (`prepare.rs`), put the attempt on record,
//! call, and say what became of it (`handing.rs`). No connection is held across a call.

mod handing;
mod prepare;

use std::sync::Arc;

use uuid::Uuid;

use self::handing::Handing;
use super::facts::Visits;
use super::kind::Kind;
use super::policy::Class;
use super::post::Post;
use super::settings::Setups;
use super::templates::Books;
use super::webhooks::Inbound;
use crate::error::Problem;
use crate::ids::ClinicId;
use crate::outbox::{Delivery, Handed, OutboxRow, Start, Together, Turns};
use crate::retention::Retention;
use crate::tenancy::pools::Conn;
use crate::tenancy::{Central, Clinic, Directory};
use crate::worker::{Clinics, Unreachable};

/// Sends clinics' messages.
pub struct Deliverer {
    pub central: Arc<Central>,
    pub directory: Arc<Directory>,
    pub post: Arc<Post>,
    pub retention: Arc<Retention>,
    pub books: Arc<Books>,
    pub setups: Arc<Setups>,
    pub inbound: Arc<Inbound>,
    pub turns: Turns,
    /// Visits that messages about to be sent speak of.
    pub visits: Visits,
    /// Attempts about to be put on record.
    pub starts: Together<Start, Option<i32>>,
}

impl Clinics for Deliverer {
    async fn central(&self) -> sqlx::Result<Conn> {
        self.central
            .realm
            .read()
            .await
            .map_err(|problem| sqlx::Error::Io(std::io::Error::other(problem)))
    }

    async fn connection(&self, clinic_id: Uuid) -> Result<Conn, Unreachable> {
        let clinic = self.clinic(clinic_id).await?;
        clinic.read().await.map_err(|problem| Unreachable(problem.into()))
    }

    async fn deliver(&self, clinic_id: Uuid, row: OutboxRow) -> Handed {
        match self.clinic(clinic_id).await {
            Ok(clinic) => Handing::new(self, &clinic, &row).run().await,
            Err(error) => {
                Handing::so_far(&row, again(class_of(&row), row.attempts, error.to_string()))
            }
        }
    }

    fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Rows of the audit log that nobody sealed, news that came before what it is about, and rows that are of no use any more.
    async fn looked_after(&self, clinic_id: Uuid) {
        match self.clinic(clinic_id).await {
            Ok(clinic) => {
                clinic.chain.ring();
                self.inbound.handle_what_is_left(&clinic).await;
                self.retention.keep(&clinic).await;
            }
            Err(error) => tracing::debug!(%clinic_id, %error, "closed meanwhile"),
        }
    }
}

impl Deliverer {
    async fn clinic(&self, id: Uuid) -> Result<Arc<Clinic>, Unreachable> {
        let open = self.directory.clinic_by_id(ClinicId(id)).await;
        open.map_err(|closed| Unreachable(Problem::from(closed).into()))
    }
}

fn class_of(row: &OutboxRow) -> Class {
    Kind::named(&row.purpose).map_or(Class::Appointment, Class::of)
}

/// After trouble of our own: no provider was called.
fn again(class: Class, tries: i32, error: String) -> Delivery {
    let tries = u32::try_from(tries).unwrap_or_default().clamp(1, 16);
    Delivery::RetryIn { delay: class.backoff().pause(tries, None, crate::crypto::jitter()), error }
}
