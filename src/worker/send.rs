//! One message in the hands of a sender: keep its lease, deliver, record the end. What fails here costs a row's lease,
//! never the message.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval_at, sleep, timeout};
use uuid::Uuid;

use super::{Clinics, Inner};
use crate::outbox::{self, Delivery, End, Finished, Handed, OutboxRow};
use crate::tenancy::pools::Conn;

impl<C: Clinics> Inner<C> {
    pub(super) fn wake(self: Arc<Self>, clinic_id: Uuid, message_id: Uuid, is_code: bool) {
        if self.stop.is_cancelled() {
            return;
        }
        tokio::spawn(async move {
            // Who waits longer than the grace is served by the look that was hinted.
            let lane = if is_code { &self.codes } else { &self.fast };
            let Ok(Ok(slot)) = timeout(self.settings.grace, lane.clone().acquire_owned()).await
            else {
                return;
            };
            let lasts = self.settings.fast_row_lease;
            let claimed = self
                .at_clinic(clinic_id, async |clinic: &mut Conn| {
                    outbox::claim_one(clinic, message_id, lasts).await
                })
                .await;
            match claimed.map(|mut claimed| claimed.rows.pop()) {
                Ok(Some(row)) => self.send(clinic_id, row, lasts, slot).await,
                Ok(None) => {} // not due yet, done, or in other hands
                Err(error) => tracing::debug!(%clinic_id, %message_id, %error, "no fast path"),
            }
        });
    }

    pub(super) async fn send(
        self: Arc<Self>,
        clinic_id: Uuid,
        row: OutboxRow,
        lasts: Duration,
        slot: OwnedSemaphorePermit,
    ) {
        let handed = self.deliver(clinic_id, &row, lasts).await;
        let finished = self.finish(clinic_id, &row, &handed).await;
        drop(slot);
        if let (
            Some(Finished::WaitsAgain),
            Delivery::RetryIn { delay, .. } | Delivery::Waits { delay, .. },
        ) = (finished, handed.delivery)
        {
            self.try_again_in(delay, clinic_id, &row, lasts);
        }
    }

    /// Delivers, and keeps the row's lease meanwhile. If the lease is lost the call goes on all the same: it is on the
    /// wire already, and the fence keeps its outcome out.
    async fn deliver(&self, clinic_id: Uuid, row: &OutboxRow, lasts: Duration) -> Handed {
        let delivery = self.clinics.deliver(clinic_id, row.clone());
        tokio::pin!(delivery);
        let mut beats = interval_at(Instant::now() + lasts / 3, lasts / 3);
        loop {
            tokio::select! {
                delivery = &mut delivery => return delivery,
                _ = beats.tick() => {}
            }
            let kept = self.at_clinic(clinic_id, async |clinic: &mut Conn| {
                outbox::extend_lease(clinic, row, lasts).await
            });
            let kept = tokio::select! {
                delivery = &mut delivery => return delivery,
                kept = kept => kept,
            };
            match kept {
                Ok(true) => {}
                Ok(false) => return delivery.await,
                Err(error) => {
                    tracing::warn!(%clinic_id, message_id = %row.id, %error, "could not keep a message");
                }
            }
        }
    }

    /// Records the outcome; insists a little, for if it cannot be recorded the message is sent once more. Codes are recorded by
    /// themselves, others together with whatever ends at the same time.
    async fn finish(&self, clinic_id: Uuid, row: &OutboxRow, handed: &Handed) -> Option<Finished> {
        let end = End::of(row, handed);
        if !is_code(row) {
            let all = |ends| self.finish_all(clinic_id, ends);
            let together = self.ends.ask(clinic_id, end.clone(), all).await;
            if let Some(Some(finished)) = together {
                return Some(finished);
            }
        }
        for pause in [1, 3, 0].map(Duration::from_secs) {
            let finished = self
                .at_clinic(clinic_id, async |clinic: &mut Conn| outbox::finish(clinic, &end).await)
                .await;
            match finished {
                Ok(finished) => return Some(finished),
                Err(error) => {
                    tracing::warn!(%clinic_id, message_id = %row.id, %error, "could not record a delivery");
                }
            }
            if !pause.is_zero() {
                sleep(pause.mul_f64(crate::crypto::jitter())).await;
            }
        }
        None
    }

    async fn finish_all(&self, clinic_id: Uuid, ends: Vec<End>) -> Vec<Option<Finished>> {
        let all = self
            .at_clinic(clinic_id, async |clinic: &mut Conn| outbox::finish_all(clinic, &ends).await)
            .await;
        all.unwrap_or_else(|error| {
            tracing::debug!(%clinic_id, %error, "outcomes are recorded one by one");
            vec![None; ends.len()]
        })
    }

    /// The holder's own timer. Beyond the row's lease there is a wake-up in the ledger, and no timer is needed; if this
    /// process dies before, that wake-up stands.
    fn try_again_in(
        self: Arc<Self>,
        delay: Duration,
        clinic_id: Uuid,
        row: &OutboxRow,
        lasts: Duration,
    ) {
        if delay < lasts {
            let (message_id, is_code) = (row.id, is_code(row));
            tokio::spawn(async move {
                sleep(delay).await;
                self.wake(clinic_id, message_id, is_code);
            });
        }
    }
}

fn is_code(row: &OutboxRow) -> bool {
    row.purpose.starts_with("code.")
}
