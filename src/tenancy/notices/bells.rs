//! Bells: who waits for a realm's news in this process is woken at once, and the other instances hear of it once in a while,
//! however many transactions rang. A ring costs a transaction two short locks, and no round trip.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Notice, Notices};

/// Rung when a realm has news.
#[derive(Clone)]
pub struct Bell {
    notices: Notices,
    realm: Uuid,
}

impl Bell {
    pub(super) fn new(notices: Notices, realm: Uuid) -> Self {
        Self { notices, realm }
    }

    /// Something was committed that others may want to read.
    pub fn ring(&self) {
        let notice = Notice::News { realm: self.realm, by: self.notices.instance };
        notice.apply(&self.notices.freshness);
        self.notices.bells.ring(self.realm);
        self.notices.outgoing.put_by(notice);
    }

    /// To be woken by it, until what this returns is dropped. One at a time listens to a bell.
    pub fn hang(&self) -> Hung {
        let rung = Arc::new(Notify::new());
        self.notices.bells.hung().insert(self.realm, rung.clone());
        Hung { bell: self.clone(), rung }
    }
}

/// A bell that somebody listens to.
pub struct Hung {
    bell: Bell,
    rung: Arc<Notify>,
}

impl Hung {
    /// Waits until it rings; at once, if it rang since the last time.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let mut hung = self.bell.notices.bells.hung();
        if hung.get(&self.bell.realm).is_some_and(|rung| Arc::ptr_eq(rung, &self.rung)) {
            hung.remove(&self.bell.realm);
        }
    }
}

/// The bells that somebody listens to.
#[derive(Default)]
pub(super) struct Bells {
    hung: Mutex<HashMap<Uuid, Arc<Notify>>>,
}

impl Bells {
    fn hung(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self, realm: Uuid) {
        if let Some(rung) = self.hung().get(&realm) {
            rung.notify_one();
        }
    }
}
