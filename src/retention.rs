//! What is kept no longer than it is of use: answers for repeated requests, failed sign-ins, ended sessions, spent links. Clinics
//! and the platform have most of these tables in the same shape, so one text serves both. What people did is on record elsewhere
//! (`audit`), for good.

use std::time::Duration;

use moka::future::Cache;
use uuid::Uuid;

use crate::error::Problem;
use crate::tenancy::Realm;

/// How often one process looks through one database.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows of one statement, so that none lasts long; and statements of one round, so that none lasts for ever.
const BATCH: i64 = 1000;
const ROUND: usize = 100;

const FORGET: [&str; 4] = [
    // A repeated request is answered for a day.
    "delete from idempotency_keys where ctid = any(array(
       select ctid from idempotency_keys where created_at < now() - interval '24 hours' limit $1))",
    // They count for a quarter of an hour. Those of whoever tries again are forgotten then.
    "delete from login_failures where ctid = any(array(
       select ctid from login_failures where failed_at < now() - interval '24 hours' limit $1))",
    "delete from sessions where ctid = any(array(
       select ctid from sessions where least(ended_at, expires_at) < now() - interval '30 days' limit $1))",
    "delete from password_links where ctid = any(array(
       select ctid from password_links where least(used_at, expires_at) < now() - interval '30 days' limit $1))",
];

/// What clinics alone have. What was told to those who watch can be told again for a day; the last row that went is noted, for
/// whoever comes back later than that.
const FORGET_AT_CLINICS: [&str; 2] = [
    "with gone as (
       select xid, id from live_events where at < now() - interval '24 hours' order by live_events.xid, id limit $1),
     last as (select xid, id from gone order by gone.xid desc, id desc limit 1),
     noted as (update live_floor set xid = last.xid, id = last.id from last)
     delete from live_events e using gone where (e.xid, e.id) = (gone.xid, gone.id)",
    // Nobody can be offered what is over.
    "delete from freed_times where ctid = any(array(
       select ctid from freed_times where upper(during) < now() limit $1))",
];

/// Forgets in databases that nobody has looked through for an hour. Instances do not agree on who does it: to find nothing is
/// cheap.
pub struct Retention {
    done: Cache<Uuid, ()>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { done: Cache::builder().max_capacity(20_000).time_to_live(EVERY).build() }
    }
}

impl Retention {
    /// Looks through a realm's database, if it is time to. What a round does not come to is the next one's.
    pub async fn keep(&self, realm: &Realm) {
        if self.done.contains_key(&realm.id) {
            return;
        }
        match forget(realm).await {
            Ok(rows) => {
                self.done.insert(realm.id, ()).await;
                tracing::debug!(realm = %realm.id, rows, "forgot what is of no use any more");
            }
            Err(error) => tracing::debug!(realm = %realm.id, %error, "could not forget"),
        }
    }
}

/// How many rows went.
async fn forget(realm: &Realm) -> Result<u64, Problem> {
    let mut rows = 0;
    let at_clinics = FORGET_AT_CLINICS.iter().filter(|_| !realm.is_platform());
    for statement in FORGET.iter().chain(at_clinics) {
        for _ in 0..ROUND {
            let mut conn = realm.read().await?; // for each anew: people come first
            let gone = sqlx::query(*statement)
                .bind(BATCH)
                .execute(conn.never_repeat())
                .await?
                .rows_affected();
            rows += gone;
            if gone < BATCH as u64 {
                break;
            }
        }
    }
    Ok(rows)
}
