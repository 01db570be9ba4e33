//! Notices between instances, over one `LISTEN` connection to the central database. They carry a clinic, never a secret, and
//! only ever say "look again": who misses one looks again by himself within a second (`freshness.rs`).

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::freshness::Freshness;
use super::realm::Realm;

const CHANNEL: &str = "nadi";
/// Each instance sends itself (and all others) a beat, so that a dead line is noticed …
const BEAT: Duration = Duration::from_millis(300);
/// … before what it keeps from us is older than we promise: from here on we look for ourselves …
const DOUBT: Duration = Duration::from_millis(900);
/// … and here we give the line up.
const SILENCE: Duration = Duration::from_secs(5);

/// Something that others have cached is no longer so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A clinic was made, suspended, moved, migrated: by slug.
    Clinic(String),
    /// A session of a realm ended, or an account changed its role or status.
    Sessions(Uuid),
}

impl Notice {
    fn payload(&self) -> String {
        match self {
            Notice::Clinic(slug) => format!("clinic {slug}"),
            Notice::Sessions(realm) => format!("sessions {realm}"),
        }
    }

    fn parse(payload: &str) -> Option<Self> {
        match payload.split_once(' ')? {
            ("clinic", slug) => Some(Notice::Clinic(slug.to_owned())),
            ("sessions", realm) => Some(Notice::Sessions(realm.parse().ok()?)),
            _ => None,
        }
    }

    fn apply(&self, freshness: &Freshness) {
        match self {
            Notice::Clinic(slug) => freshness.changed(("clinic", slug.as_str())),
            Notice::Sessions(realm) => freshness.changed(("sessions", *realm)),
        }
    }
}

/// Tells this instance and the others.
#[derive(Clone)]
pub struct Notices {
    platform: Arc<Realm>,
    freshness: Arc<Freshness>,
}

impl Notices {
    pub fn new(platform: Arc<Realm>, freshness: Arc<Freshness>) -> Self {
        Self { platform, freshness }
    }

    /// Holds here at once, elsewhere within a second. If central does not answer, the others are deaf as well, and look
    /// again by themselves; the notice is tried again in the background for those who only we cannot reach.
    pub async fn tell(&self, notice: Notice) {
        notice.apply(&self.freshness);
        if self.send(&notice).await.is_err() {
            let notices = self.clone();
            tokio::spawn(async move {
                for pause in [1, 2, 4, 8, 15] {
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                    if notices.send(&notice).await.is_ok() {
                        return;
                    }
                }
                tracing::error!(?notice, "a notice could not be sent");
            });
        }
    }

    async fn send(&self, notice: &Notice) -> Result<(), crate::error::Problem> {
        self.notify(&notice.payload()).await
    }

    async fn notify(&self, payload: &str) -> Result<(), crate::error::Problem> {
        let mut conn = self.platform.read().await?;
        (&mut conn)
            .execute(sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(payload))
            .await?;
        Ok(())
    }

    /// Listens until told to stop; reconnects by itself.
    pub async fn listen(self, direct: PgConnectOptions, stop: CancellationToken) {
        let beats = self.clone();
        let stop_beats = stop.clone();
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(BEAT);
            while stop_beats.run_until_cancelled(pace.tick()).await.is_some() {
                if let Err(problem) = beats.notify("beat").await {
                    tracing::debug!(?problem, "no beat");
                }
            }
        });
        while !stop.is_cancelled() {
            let listening = self.listen_once(&direct);
            if let Some(Err(error)) = stop.run_until_cancelled(listening).await {
                tracing::warn!(%error, "notices do not arrive; looking again by ourselves meanwhile");
            }
            self.freshness.set_hearing(false);
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await;
        }
    }

    async fn listen_once(&self, direct: &PgConnectOptions) -> sqlx::Result<()> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(direct.clone().application_name("nadi listener"))
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        let mut heard = Instant::now();
        loop {
            let doubts = !self.freshness.is_hearing();
            let patience = heard + if doubts { SILENCE } else { DOUBT };
            let notification = match tokio::time::timeout_at(patience, listener.try_recv()).await {
                Ok(received) => received?,
                Err(_) if doubts => return Err(sqlx::Error::PoolTimedOut),
                Err(_) => {
                    self.freshness.set_hearing(false);
                    continue;
                }
            };
            let Some(notification) = notification else {
                // The line broke; the listener has already made another, but what was said meanwhile is lost.
                self.freshness.set_hearing(false);
                heard = Instant::now();
                continue;
            };
            heard = Instant::now();
            self.freshness.set_hearing(true);
            if let Some(notice) = Notice::parse(notification.payload()) {
                notice.apply(&self.freshness);
            }
        }
    }
}
