//! One look at a clinic: send what is due, ask at the gate, ask what is next, write back. `hints` is read before the
//! gate, and the gate asked before what is next: an open transaction is seen at the gate, one that closed before is
//! seen by its row, and one that comes after has hinted since `hints` was read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Clinics, Inner, Unreachable};
use crate::outbox::{self, Claimed};
use crate::tenancy::pools::Conn;
use crate::tenancy::wakeups::{self, Lease};

/// A look that took longer than this reads `hints` once more before it asks at the gate: else whoever hinted meanwhile
/// would cause another look for nothing.
const LASTED: Duration = Duration::from_secs(1);

/// What only a sweep found, and is overdue by more than this, the ledger has missed.
const MISSED_AFTER_SECONDS: f64 = 120.0;

/// Why a look ended before its time.
enum Ended {
    /// Another worker has the clinic now.
    LeaseLost,
    /// The ledger cannot be written: the lease lapses, and the wake-up stands.
    Central(sqlx::Error),
    Clinic(Unreachable),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        Ended::Central(error)
    }
}

impl From<Unreachable> for Ended {
    fn from(error: Unreachable) -> Self {
        Ended::Clinic(error)
    }
}

impl<C: Clinics> Inner<C> {
    /// Whether there was more to send than one look may.
    pub(super) async fn look(self: &Arc<Self>, mut lease: Lease) -> bool {
        let clinic_id = lease.clinic_id;
        match self.look_after(&mut lease).await {
            Ok(more) => {
                self.clinics.looked_after(clinic_id).await;
                return more;
            }
            Err(Ended::LeaseLost) => tracing::warn!(%clinic_id, "lost the lease of a clinic"),
            Err(Ended::Central(error)) => {
                tracing::warn!(%clinic_id, %error, "dropped a look: the ledger does not answer");
            }
            Err(Ended::Clinic(error)) => {
                tracing::warn!(%clinic_id, %error, "dropped a look");
                let noted = self
                    .centrally(async |central: &mut Conn| {
                        wakeups::unreachable(central, &lease).await
                    })
                    .await;
                if let Err(error) = noted {
                    tracing::warn!(%clinic_id, %error, "the ledger does not answer");
                }
            }
        }
        false
    }

    async fn look_after(self: &Arc<Self>, lease: &mut Lease) -> Result<bool, Ended> {
        let began = Instant::now();
        let more = self.send_what_is_due(lease, began).await?;
        if began.elapsed() > LASTED {
            self.beat(lease).await?;
        }
        // From here on no heartbeat: its `hints` would be newer than the gate's answer.
        let (gate_free, next) = self
            .at_clinic(lease.clinic_id, async |clinic: &mut Conn| {
                let gate_free = outbox::gate_is_free(&mut *clinic).await?;
                let next = outbox::next(&mut *clinic).await?;
                Ok((gate_free, next))
            })
            .await?;
        self.centrally(async |central: &mut Conn| {
            let next_in = next.map(|next| next.from_now());
            wakeups::write_back(central, lease, gate_free, next_in, self.settings.grace).await
        })
        .await?;
        Ok(more)
    }

    /// Claims and sends until nothing is due, or the look has had its share. Sends may outlive it: until they end,
    /// their rows' leases count as what is next.
    async fn send_what_is_due(
        self: &Arc<Self>,
        lease: &mut Lease,
        began: Instant,
    ) -> Result<bool, Ended> {
        let ends = began + self.settings.look_lasts;
        let mut beats = began + self.settings.clinic_lease / 3;
        let mut sends = JoinSet::new();
        let mut handled = 0;
        let more = loop {
            if Instant::now() >= beats {
                self.beat(lease).await?;
                beats = Instant::now() + self.settings.clinic_lease / 3;
            }
            let left = self.settings.look_rows.saturating_sub(handled);
            if left == 0 || Instant::now() >= ends || self.stop.is_cancelled() {
                break true;
            }
            let free = self.settings.sends_per_look - sends.len();
            let free = free.min(left).min(self.sends.available_permits());
            if free > 0 {
                let claimed = self.claim(lease, free).await?;
                handled += claimed.rows.len() + claimed.expired;
                let nothing = claimed.is_empty();
                for row in claimed.rows {
                    let slot = self.sends.clone().acquire_owned().await.expect("never closed");
                    sends.spawn(self.clone().send(
                        lease.clinic_id,
                        row,
                        self.settings.row_lease,
                        slot,
                    ));
                }
                match (nothing, sends.is_empty()) {
                    (true, true) => break false,
                    (false, _) if sends.len() < self.settings.sends_per_look => continue,
                    _ => {}
                }
            } else if sends.is_empty() {
                break true; // every slot of this process is taken by sends that outlived their looks
            }
            tokio::select! {
                // They end in groups: those that are ready make room together.
                _ = sends.join_next() => while sends.try_join_next().is_some() {},
                () = sleep_until(ends.min(beats)) => {}
                () = self.stop.cancelled() => {}
            }
        };
        sends.detach_all();
        Ok(more)
    }

    async fn claim(&self, lease: &Lease, free: usize) -> Result<Claimed, Unreachable> {
        let _turn = self.turns.take(lease.clinic_id).await;
        let claimed = self
            .at_clinic(lease.clinic_id, async |clinic: &mut Conn| {
                outbox::claim(clinic, free as i64, self.settings.row_lease).await
            })
            .await?;
        if lease.swept {
            let missed = claimed
                .rows
                .iter()
                .filter(|row| row.overdue_seconds > MISSED_AFTER_SECONDS)
                .inspect(|row| {
                    let (clinic_id, overdue) = (lease.clinic_id, row.overdue_seconds);
                    tracing::error!(%clinic_id, message_id = %row.id, overdue, "only a sweep found this message");
                })
                .count();
            self.missed.fetch_add(missed as u64, Ordering::Relaxed);
            crate::metrics::LEDGER_MISSED.inc_by(missed as u64);
        }
        Ok(claimed)
    }

    async fn beat(&self, lease: &mut Lease) -> Result<(), Ended> {
        let hints = self
            .centrally(async |central: &mut Conn| {
                wakeups::heartbeat(central, lease, self.settings.clinic_lease).await
            })
            .await?;
        lease.hints = hints.ok_or(Ended::LeaseLost)?;
        Ok(())
    }
}
