//! Which sessions are alive. Cached, so that a warm request asks nobody; a logout holds here before its answer, and on other
//! instances within a second (`tenancy/freshness.rs`).

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use uuid::Uuid;

use super::store::{self, LiveRow};
use crate::db::Tx;
use crate::error::Problem;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::Realm;
use crate::tenancy::freshness::{Freshness, Stamp};
use crate::tenancy::notices::{Notice, Notices};

/// A live session is read again this often, which also notes that it was seen.
const REREAD: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Entry {
    stamp: Stamp,
    live: Option<Arc<LiveRow>>,
}

/// The cache of all realms' sessions.
pub struct Sessions {
    cache: Cache<(Uuid, SessionId), Entry>,
    freshness: Arc<Freshness>,
    notices: Notices,
}

impl Sessions {
    pub fn new(freshness: Arc<Freshness>, notices: Notices) -> Self {
        let cache =
            Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(300)).build();
        Self { cache, freshness, notices }
    }

    /// The session's account as it stands now, if the session is alive.
    pub async fn alive(
        &self,
        realm: &Realm,
        id: SessionId,
    ) -> Result<Option<Arc<LiveRow>>, Problem> {
        let key = (realm.id, id);
        if let Some(entry) = self.cache.get(&key).await
            && self.freshness.stands(("sessions", realm.id), entry.stamp)
            && entry.stamp.age() < REREAD
        {
            return Ok(entry.live);
        }
        let stamp = self.freshness.stamp(("sessions", realm.id));
        let mut conn = realm.read().await?;
        let live = store::live_session(&mut conn, id, realm.is_platform()).await?.map(Arc::new);
        drop(conn);
        self.cache.insert(key, Entry { stamp, live: live.clone() }).await;
        Ok(live)
    }

    /// Some session of this realm ended, or some account changed: nobody believes what he has cached. Call it after the
    /// commit and before the answer.
    pub async fn changed(&self, realm: &Realm) {
        self.notices.tell(Notice::Sessions(realm.id)).await;
    }
}

/// Of these sessions of a clinic those that are alive just now, as the database says.
pub async fn live_among(
    realm: &Realm,
    ids: &[SessionId],
) -> Result<Vec<(SessionId, LiveRow)>, Problem> {
    let mut conn = realm.read().await?;
    Ok(store::live_among(&mut conn, ids).await?)
}

/// Ends every session of an account, in the caller's transaction; after its commit, [`Sessions::changed`] makes it known.
pub async fn end_all(tx: &mut Tx, account: AccountId, reason: &str) -> sqlx::Result<u64> {
    store::end_sessions(tx, account, reason).await
}
