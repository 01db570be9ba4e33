//! What each instance does beside looking after clinics: sign in, bury the dead, give the ledger its missing rows, and
//! leave in good order.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Clinics, Inner};
use crate::tenancy::pools::Conn;
use crate::tenancy::{instances, wakeups};

const ADD_MISSING_EVERY: Duration = Duration::from_secs(60 * 60);

impl<C: Clinics> Inner<C> {
    pub(super) async fn stay_signed_in(&self) {
        while !self.stop.is_cancelled() {
            let buried = self
                .centrally(async |central: &mut Conn| {
                    instances::sign_in(&mut *central, self.instance_id).await?;
                    instances::bury(central, instances::DEAD_AFTER).await
                })
                .await;
            match buried {
                Ok(0) => {}
                Ok(dead) => tracing::warn!(dead, "instances died without a goodbye: sweeping soon"),
                Err(error) => tracing::warn!(%error, "could not sign in"),
            }
            self.pause(instances::SIGN_IN_EVERY).await;
        }
    }

    pub(super) async fn keep_the_ledger_whole(&self) {
        while !self.stop.is_cancelled() {
            let added = self
                .centrally(async |central: &mut Conn| wakeups::add_missing(central).await)
                .await;
            let wait = match added {
                Ok(added) => {
                    tracing::debug!(added, "the ledger has a row for each clinic");
                    ADD_MISSING_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "the ledger does not answer");
                    instances::SIGN_IN_EVERY
                }
            };
            self.pause(wait).await;
        }
    }

    /// A pause that a stop cuts short.
    async fn pause(&self, lasts: Duration) {
        tokio::select! {
            () = sleep(lasts) => {}
            () = self.stop.cancelled() => {}
        }
    }

    pub(super) async fn leave(&self) {
        let limit = self.settings.stop_within;
        let settings = &self.settings;
        let all_home = async {
            home(&self.looks, settings.looks).await;
            home(&self.fast, settings.fast).await;
            home(&self.codes, settings.codes).await;
            home(&self.sends, settings.looks * settings.sends_per_look).await;
        };
        if timeout(limit, all_home).await.is_err() {
            tracing::warn!("stopped in the middle of a send: its lease will lapse");
        }
        let owed = self.hinter.drain(limit).await;
        if owed > 0 {
            // No goodbye: our absence has every clinic swept.
            tracing::error!(owed, "stopped owing hints");
            return;
        }
        let goodbye = self
            .centrally(async |central: &mut Conn| {
                instances::sign_out(central, self.instance_id).await
            })
            .await;
        if let Err(error) = goodbye {
            tracing::warn!(%error, "could not say goodbye");
        }
    }
}

/// Waits until nobody holds a slot.
async fn home(slots: &Semaphore, all: usize) {
    let all = u32::try_from(all).expect("slots are few");
    slots.acquire_many(all).await.expect("never closed").forget();
}
