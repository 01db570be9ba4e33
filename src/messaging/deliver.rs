//! From an intent to a provider, for the worker: compose, send, say what became of it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::channels::{Channel, Lane};
use super::facts::{self, ComposeError, Composed};
use super::post::{Post, Ready};
use super::templates::Books;
use crate::error::Problem;
use crate::ids::{ClinicId, MessageId};
use crate::outbox::{self, Attempt, Delivery, OutboxRow};
use crate::tenancy::pools::Conn;
use crate::tenancy::{Central, Clinic, Directory};
use crate::worker::{Clinics, Unreachable};

/// Sends clinics' messages.
pub struct Deliverer {
    pub central: Arc<Central>,
    pub directory: Arc<Directory>,
    pub post: Arc<Post>,
    pub books: Arc<Books>,
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

    async fn deliver(&self, clinic_id: Uuid, row: OutboxRow) -> Delivery {
        match self.clinic(clinic_id).await {
            Ok(clinic) => self.hand_over(&clinic, &row).await,
            Err(error) => {
                Delivery::RetryIn { delay: backoff(row.attempts), error: error.to_string() }
            }
        }
    }

    /// Rows of the audit log that nobody sealed.
    async fn looked_after(&self, clinic_id: Uuid) {
        match self.clinic(clinic_id).await {
            Ok(clinic) => clinic.chain.ring(),
            Err(error) => tracing::debug!(%clinic_id, %error, "closed meanwhile"),
        }
    }
}

impl Deliverer {
    async fn clinic(&self, id: Uuid) -> Result<Arc<Clinic>, Unreachable> {
        let open = self.directory.clinic_by_id(ClinicId(id)).await;
        open.map_err(|closed| Unreachable(Problem::from(closed).into()))
    }

    /// Hands one message over: compose, put the attempt on record, call, put its outcome on record.
    async fn hand_over(&self, clinic: &Clinic, row: &OutboxRow) -> Delivery {
        let again = |error: String| Delivery::RetryIn { delay: backoff(row.attempts), error };
        let prepared = match self.prepare(clinic, row).await {
            Ok(prepared) => prepared,
            Err(delivery) => return delivery,
        }; // no connection is held across a call to a provider
        let Prepared { message, channel, attempt_number } = prepared;
        let attempt = self.post.send(clinic, message).await;
        let word = match &attempt {
            Attempt::Accepted { .. } => "accepted",
            Attempt::Retry { .. } => "retry",
            Attempt::Refused { .. } => "refused",
        };
        crate::metrics::MESSAGES.with_label_values(&[channel.as_str(), word]).inc();
        if let Err(problem) = note_end(clinic, row, attempt_number, &attempt).await {
            // The row's own outcome is what counts; this one stays open, as of a call that nobody saw end.
            tracing::warn!(%problem, message_id = %row.id, "the end of an attempt could not be recorded");
        }
        match attempt {
            Attempt::Accepted { .. } => Delivery::Sent { channel: channel.as_str().to_owned() },
            Attempt::Retry { error } => again(error),
            Attempt::Refused { error } => Delivery::Failed { error },
        }
    }

    async fn prepare(&self, clinic: &Clinic, row: &OutboxRow) -> Result<Prepared, Delivery> {
        let again = |error: String| Delivery::RetryIn { delay: backoff(row.attempts), error };
        let mut conn = clinic.read().await.map_err(|problem| again(problem.to_string()))?;
        let facts = match facts::facts(clinic, &mut conn, row).await {
            Ok(Composed::Facts(facts)) => facts,
            Ok(Composed::Needless(why)) => {
                return Err(Delivery::Needless { why: why.to_owned() });
            }
            Err(ComposeError::Db(error)) => return Err(again(error.to_string())),
            Err(error) => return Err(Delivery::Failed { error: error.to_string() }),
        };
        let Some(way) = self.post.way(&facts) else {
            let why = "there is no way to reach this person".to_owned();
            return Err(Delivery::Needless { why });
        };
        let book = self.books.of(clinic, &mut conn).await;
        let book = book.map_err(|error| again(error.to_string()))?;
        let words = book
            .words(&facts, way.channel, book.language(&facts))
            .map_err(|error| Delivery::Failed { error: error.to_string() })?;
        let (channel, provider) = (way.channel, way.provider.as_str());
        let left = row.expires_at - clinic.clock.now();
        let message = Ready {
            id: MessageId(row.id),
            words,
            way,
            lane: if facts.kind.is_code() { Lane::Codes } else { Lane::Others },
            time_left: left.to_std().unwrap_or_default(),
        };
        let attempt = outbox::start_attempt(conn.never_repeat(), row, channel.as_str(), provider);
        match attempt.await {
            Ok(Some(attempt_number)) => Ok(Prepared { message, channel, attempt_number }),
            // Withdrawn, moved or expired meanwhile: what is recorded next is fenced, and sees which.
            Ok(None) => Err(Delivery::RetryIn {
                delay: Duration::ZERO,
                error: "it was withdrawn or expired before it could be sent".to_owned(),
            }),
            Err(error) => Err(again(error.to_string())),
        }
    }
}

/// A message about to be handed over, its attempt on record.
struct Prepared {
    message: Ready,
    channel: Channel,
    attempt_number: i32,
}

async fn note_end(
    clinic: &Clinic,
    row: &OutboxRow,
    attempt_number: i32,
    attempt: &Attempt,
) -> Result<(), Problem> {
    let mut conn = clinic.read().await?;
    Ok(outbox::end_attempt(conn.never_repeat(), row.id, attempt_number, attempt).await?)
}

/// Full jitter: at random up to 2 s doubled at each try, 30 s at most.
fn backoff(attempts: i32) -> Duration {
    let most = (2.0 * 2f64.powi(attempts.clamp(0, 10))).min(30.0);
    Duration::from_secs_f64(most * crate::crypto::jitter())
}
