//! What the central database says of clinics, for callers who cannot wait: an answer in time, or none. After none nobody asks for
//! a second, so that a dead line costs each caller little and all of them together no more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::central::Central;
use crate::error::Problem;
use crate::ids::{ClinicId, ServerId};

/// For a clinic that is known, and goes on without an answer.
const KNOWN: Duration = Duration::from_millis(500);
/// For whoever has nothing else to go by.
const STRANGER: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(1);

/// What the central database says of one clinic.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ClinicRow {
    pub id: ClinicId,
    pub slug: String,
    pub name: String,
    pub time_zone: String,
    pub language: String,
    pub country: String,
    pub status: String,
    pub server_id: ServerId,
    pub root_key_wrapped: Vec<u8>,
    pub schema_level: i32,
}

impl ClinicRow {
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// Is it the same database, entered with the same key?
    pub fn is_where(&self, before: &Self) -> bool {
        (self.id, self.server_id, &self.root_key_wrapped)
            == (before.id, before.server_id, &before.root_key_wrapped)
    }
}

/// Who may ask, and when.
pub(super) struct Door {
    /// Names that nobody here has met are looked up one at a time: however many are guessed, another connection is left.
    strangers: Semaphore,
    rests_until: Mutex<Option<Instant>>,
}

impl Default for Door {
    fn default() -> Self {
        Self { strangers: Semaphore::new(1), rests_until: Mutex::default() }
    }
}

impl Central {
    /// A clinic that this process knows.
    ///
    /// # Errors
    /// When the central database does not answer in time, or has just not answered.
    pub async fn clinic_row(&self, slug: &str) -> Result<Option<ClinicRow>, Problem> {
        self.row_within(KNOWN, slug).await
    }

    /// A clinic of a name that somebody says: when many are said at once, they wait for each other.
    ///
    /// # Errors
    /// As [`Central::clinic_row`], and when too many wait.
    pub async fn strangers_row(&self, slug: &str) -> Result<Option<ClinicRow>, Problem> {
        let turn = timeout(STRANGER, self.door.strangers.acquire()).await;
        let _turn = turn.map_err(|_| silent("too many unknown names are asked for"))?;
        self.row_within(STRANGER, slug).await
    }

    async fn row_within(&self, limit: Duration, slug: &str) -> Result<Option<ClinicRow>, Problem> {
        self.within(limit, async {
            let mut conn = self.realm.read().await?;
            Ok(sqlx::query_as(
                "select id, slug, name, time_zone, language, country, status, server_id, root_key_wrapped, schema_level
                 from clinics where slug = $1",
            )
            .bind(slug)
            .fetch_optional(&mut conn)
            .await?)
        })
        .await
    }

    pub async fn slug_of(&self, id: ClinicId) -> Result<Option<String>, Problem> {
        self.within(STRANGER, async {
            let mut conn = self.realm.read().await?;
            Ok(sqlx::query_scalar("select slug from clinics where id = $1")
                .bind(id)
                .fetch_optional(&mut conn)
                .await?)
        })
        .await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        if self.rests().is_some_and(|until| Instant::now() < until) {
            return Err(silent("the central database did not answer a moment ago"));
        }
        let late = || Err(silent("the central database does not answer in time"));
        let answer = timeout(limit, answer).await.unwrap_or_else(|_| late());
        if answer.is_err() {
            *self.rests() = Some(Instant::now() + REST);
        }
        answer
    }

    fn rests(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.door.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silent(why: &'static str) -> Problem {
    Problem::unavailable("unavailable", why)
}
