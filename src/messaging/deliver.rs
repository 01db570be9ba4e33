//! From an intent to a provider, for the worker: compose, send, say what became of it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::letter::{self, ComposeError, Composed, Letter};
use super::post::{Post, Way};
use crate::error::Problem;
use crate::ids::{ClinicId, MessageId};
use crate::one_time_codes::take_sms;
use crate::outbox::{self, Attempt, Delivery, OutboxRow};
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

    /// Rows of the audit log that nobody sealed, and rows that are of no use any more.
    async fn looked_after(&self, clinic_id: Uuid) {
        match self.clinic(clinic_id).await {
            Ok(clinic) => {
                clinic.chain.ring();
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

    /// Hands one message over: compose, put the attempt on record, call, put its outcome on record.
    async fn hand_over(&self, clinic: &Clinic, row: &OutboxRow) -> Delivery {
        let again = |error: String| Delivery::RetryIn { delay: backoff(row.attempts), error };
        let prepared = match self.prepare(clinic, row).await {
            Ok(prepared) => prepared,
            Err(delivery) => return delivery,
        }; // no connection is held across a call to a provider
        let Prepared { letter, way, attempt_number } = prepared;
        let attempt = self.post.send(clinic, MessageId(row.id), &letter, &way).await;
        let word = match &attempt {
            Attempt::Accepted { .. } => "accepted",
            Attempt::Retry { .. } => "retry",
            Attempt::Refused { .. } => "refused",
        };
        crate::metrics::MESSAGES.with_label_values(&[way.channel, word]).inc();
        if let Err(problem) = note_end(clinic, row, attempt_number, &attempt).await {
            // The row's own outcome is what counts; this one stays open, as of a call that nobody saw end.
            tracing::warn!(%problem, message_id = %row.id, "the end of an attempt could not be recorded");
        }
        match attempt {
            Attempt::Accepted { .. } => Delivery::Sent { channel: way.channel.to_owned() },
            Attempt::Retry { error } => again(error),
            Attempt::Refused { error } => Delivery::Failed { error },
        }
    }

    async fn prepare(&self, clinic: &Clinic, row: &OutboxRow) -> Result<Prepared, Delivery> {
        let again = |error: String| Delivery::RetryIn { delay: backoff(row.attempts), error };
        let mut conn = clinic.read().await.map_err(|problem| again(problem.to_string()))?;
        let mut letter = match letter::compose(clinic, &mut conn, row).await {
            Ok(Composed::Letter(letter)) => letter,
            Ok(Composed::Needless(why)) => {
                return Err(Delivery::Needless { why: why.to_owned() });
            }
            Err(ComposeError::Db(error)) => return Err(again(error.to_string())),
            Err(error) => return Err(Delivery::Failed { error: error.to_string() }),
        };
        let mut way = self.post.way(&letter);
        if row.purpose.starts_with("code.")
            && way.as_ref().is_some_and(|way| way.channel == "sms")
            && !take_sms(clinic, &mut conn, row).await.map_err(|error| again(error.to_string()))?
        {
            letter.channels.retain(|channel| channel != "sms");
            way = Some(&letter).filter(|l| !l.channels.is_empty()).and_then(|l| self.post.way(l));
        }
        let Some(way) = way else {
            let why = "there is no way to reach this person".to_owned();
            return Err(Delivery::Needless { why });
        };
        let provider = way.provider.as_str();
        let started = outbox::start_attempt(conn.never_repeat(), row, way.channel, provider).await;
        match started {
            Ok(Some(attempt_number)) => Ok(Prepared { letter, way, attempt_number }),
            // Withdrawn, moved or expired meanwhile: what is recorded next is fenced, and sees which.
            Ok(None) => Err(Delivery::RetryIn {
                delay: Duration::ZERO,
                error: "it was withdrawn or expired before it could be sent".to_owned(),
            }),
            Err(error) => Err(again(error.to_string())),
        }
    }
}

/// A letter about to be handed over, its attempt on record.
struct Prepared {
    letter: Letter,
    way: Way,
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
