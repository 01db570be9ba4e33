//! From a slug to an open clinic: a bounded cache of entries and another of misses, one load at a time for each name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use sqlx::postgres::PgConnectOptions;

use super::central::Central;
use super::freshness::{Freshness, Stamp};
use super::notices::Notices;
use super::pools::{Pool, PoolSettings};
use super::reach::Reach;
use super::registry::ClinicRow;
use super::{Clinic, Realm, handshake, roles};
use crate::audit::Chain;
use crate::config::Settings;
use crate::crypto::{ClinicKeys, Unreadable};
use crate::db::Telling;
use crate::error::Problem;
use crate::ids::ClinicId;
use crate::tenancy::hinter::Hinter;
use crate::time::Clock;
use crate::worker::FastPath;

/// With central down, clinics already known go on for this long after it was first missed.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// What central has said is asked again this often, although no notice came …
const REREAD: Duration = Duration::from_secs(60);
/// … and what it could not say, this often.
const DOUBTED: Duration = Duration::from_secs(1);

/// How long what nobody uses is kept.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    pub connection: Duration,
    /// A clinic's handle, and its pool with it.
    pub clinic: Duration,
}

impl Default for Idle {
    fn default() -> Self {
        Self { connection: Duration::from_secs(60), clinic: Duration::from_secs(600) }
    }
}

/// Why a slug leads nowhere just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Unknown,
    Suspended,
    Archived,
    /// Being made or unmade.
    Provisioning,
    /// The central database does not answer, and we have not seen this clinic before.
    CentralDown,
    /// Its keys or placement cannot be used; the log says why.
    Broken,
}

impl From<Closed> for Problem {
    fn from(closed: Closed) -> Self {
        use poem::http::StatusCode;
        let unavailable = |detail| Problem::unavailable("clinic-unavailable", detail);
        match closed {
            Closed::Unknown => Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-clinic",
                "no clinic lives at this address",
            ),
            Closed::Suspended => {
                Problem::new(StatusCode::FORBIDDEN, "clinic-suspended", "this clinic is suspended")
            }
            Closed::Archived => {
                Problem::new(StatusCode::GONE, "clinic-archived", "this clinic has been archived")
            }
            Closed::Provisioning => unavailable("this clinic is not ready yet"),
            Closed::CentralDown => unavailable("the registry of clinics cannot be reached now"),
            Closed::Broken => unavailable("this clinic cannot be opened now"),
        }
    }
}

/// What is known of one slug.
#[derive(Clone)]
struct Entry {
    stamp: Stamp,
    /// Since when the central database could not be asked; until it can, this is only hoped.
    doubted: Option<Instant>,
    row: Arc<ClinicRow>,
    clinic: Option<Arc<Clinic>>,
}

impl Entry {
    /// The entry after central was asked and did not answer. `None` once that has lasted too long.
    fn hoped(self, stamp: Stamp) -> Option<Self> {
        let doubted = self.doubted.unwrap_or_else(Instant::now);
        (doubted.elapsed() < GRACE).then_some(Self { stamp, doubted: Some(doubted), ..self })
    }

    fn open(&self) -> Result<Arc<Clinic>, Closed> {
        match (&self.clinic, self.row.status.as_str()) {
            (Some(clinic), _) => Ok(clinic.clone()),
            (None, "suspended") => Err(Closed::Suspended),
            (None, "archived") => Err(Closed::Archived),
            (None, "provisioning" | "deleting") => Err(Closed::Provisioning),
            (None, _) => Err(Closed::Unknown),
        }
    }
}

/// Why a clinic that is active cannot be opened.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("its keys do not open: is NADI_MASTER_KEY the right one?")]
    Keys(#[from] Unreadable),
    #[error("its time zone is `{0}`, which this binary does not know")]
    Zone(String),
}

/// All clinics that this process has met, by slug.
pub struct Directory {
    central: Arc<Central>,
    settings: Arc<Settings>,
    clock: Clock,
    freshness: Arc<Freshness>,
    notices: Notices,
    entries: Cache<String, Entry>,
    /// Names that lead nowhere: many, cheap, and short-lived, so that guessing cannot push real clinics out.
    misses: Cache<String, Stamp>,
    /// A clinic's slug never changes.
    slugs: Cache<ClinicId, String>,
    hinter: Hinter,
    reach: Arc<Reach>,
    fast_path: FastPath,
    idle: Idle,
}

impl Directory {
    pub fn new(
        central: Arc<Central>,
        settings: Arc<Settings>,
        clock: Clock,
        notices: Notices,
        hinter: Hinter,
        fast_path: FastPath,
        idle: Idle,
    ) -> Self {
        Self {
            central,
            settings,
            clock,
            freshness: notices.freshness().clone(),
            notices,
            entries: Cache::builder().max_capacity(20_000).time_to_idle(idle.clinic).build(),
            misses: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(30))
                .build(),
            slugs: Cache::builder().max_capacity(20_000).build(),
            reach: Reach::new(hinter.clone()),
            hinter,
            fast_path,
            idle,
        }
    }

    /// The clinic of a slug, if it is open.
    ///
    /// # Errors
    /// Why not.
    pub async fn clinic(&self, slug: &str) -> Result<Arc<Clinic>, Closed> {
        if let Some(entry) = self.entries.get(slug).await {
            if self.stands(slug, &entry) {
                return entry.open();
            }
            return self.look_again(slug, Some(entry)).await;
        }
        if let Some(stamp) = self.misses.get(slug).await
            && self.freshness.stands(("clinic", slug), stamp)
        {
            return Err(Closed::Unknown);
        }
        self.look_again(slug, None).await
    }

    /// The clinic of an id, for workers: they know it from the ledger.
    pub async fn clinic_by_id(&self, id: ClinicId) -> Result<Arc<Clinic>, Closed> {
        let slug = match self.slugs.get(&id).await {
            Some(slug) => slug,
            None => {
                let found = self.central.slug_of(id).await.map_err(|_| Closed::CentralDown)?;
                let slug = found.ok_or(Closed::Unknown)?;
                self.slugs.insert(id, slug.clone()).await;
                slug
            }
        };
        let clinic = self.clinic(&slug).await?;
        if clinic.id != id {
            // That one is gone, and another has its name.
            self.slugs.invalidate(&id).await;
            return Err(Closed::Unknown);
        }
        Ok(clinic)
    }

    /// An entry stands until a notice, and a minute at most; one that central could not confirm, a second.
    fn stands(&self, slug: &str, entry: &Entry) -> bool {
        let lasts = if entry.doubted.is_none() { REREAD } else { DOUBTED };
        entry.stamp.age() < lasts && self.freshness.stands(("clinic", slug), entry.stamp)
    }

    /// Loads an entry, once for all who wait for the same slug.
    async fn look_again(&self, slug: &str, known: Option<Entry>) -> Result<Arc<Clinic>, Closed> {
        let stale = known.as_ref().map(|entry| entry.stamp);
        let loaded = self
            .entries
            .entry_by_ref(slug)
            .and_try_compute_with(async |current| {
                let current = current.map(moka::Entry::into_value);
                // Somebody else has looked while we waited for our turn.
                if let Some(entry) = &current
                    && self.stands(slug, entry)
                    && stale.is_none_or(|stale| stale.age() > entry.stamp.age())
                {
                    return Ok(moka::ops::compute::Op::Nop);
                }
                match self.load(slug, current).await {
                    Ok(Some(entry)) => Ok(moka::ops::compute::Op::Put(entry)),
                    Ok(None) => Ok(moka::ops::compute::Op::Remove),
                    Err(closed) => Err(closed),
                }
            })
            .await;
        match loaded {
            Ok(result) => match result.into_entry() {
                Some(entry) => entry.into_value().open(),
                None => Err(Closed::Unknown),
            },
            Err(closed) => Err(closed),
        }
    }

    async fn load(&self, slug: &str, known: Option<Entry>) -> Result<Option<Entry>, Closed> {
        let stamp = self.freshness.stamp(("clinic", slug));
        let row = match &known {
            Some(_) => self.central.clinic_row(slug).await,
            None => self.central.strangers_row(slug).await,
        };
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                // Central is down: what we knew goes on for a while.
                let hoped = known.and_then(|entry| entry.hoped(stamp));
                return hoped.map(Some).ok_or_else(|| {
                    tracing::warn!(%error, slug, "central does not answer");
                    Closed::CentralDown
                });
            }
        };
        let Some(row) = row else {
            if let Some(clinic) = known.and_then(|entry| entry.clinic) {
                clinic.realm.pool.close();
            }
            self.misses.insert(slug.to_owned(), stamp).await;
            return Ok(None);
        };
        self.slugs.insert(row.id, row.slug.clone()).await; // workers ask by id, also while central is down
        let clinic = self.successor(&row, known)?;
        Ok(Some(Entry { stamp, doubted: None, row: Arc::new(row), clinic }))
    }

    /// The handle for a row that was read just now. Whoever still works with an earlier one ends in peace: its connections
    /// close with its last user, unless the clinic may not be touched there any more.
    fn successor(
        &self,
        row: &ClinicRow,
        known: Option<Entry>,
    ) -> Result<Option<Arc<Clinic>>, Closed> {
        let before = known.and_then(|entry| Some((entry.row, entry.clinic?)));
        let realm = match &before {
            Some((then, clinic)) if **then == *row => return Ok(Some(clinic.clone())),
            Some((then, clinic)) if !row.is_active() || !row.is_where(then) => {
                clinic.realm.pool.close();
                None
            }
            Some((then, clinic)) => {
                (then.schema_level == row.schema_level).then(|| clinic.realm.clone())
            }
            None => None,
        };
        if !row.is_active() {
            return Ok(None);
        }
        let clinic = self.open_clinic(row, realm).map_err(|error| {
            tracing::error!(%error, slug = row.slug, "ALARM: this clinic cannot be opened");
            crate::metrics::ALARMS.with_label_values(&["unusable_clinic"]).inc();
            Closed::Broken
        })?;
        Ok(Some(Arc::new(clinic)))
    }

    /// Makes the handle. No connection is opened yet.
    fn open_clinic(&self, row: &ClinicRow, realm: Option<Arc<Realm>>) -> Result<Clinic, Unusable> {
        let zone = row.time_zone.parse().map_err(|_| Unusable::Zone(row.time_zone.clone()))?;
        let realm = match realm {
            Some(realm) => realm,
            None => Arc::new(self.realm_of(row)?),
        };
        Ok(Clinic {
            id: row.id,
            slug: row.slug.clone(),
            name: row.name.clone(),
            zone,
            language: row.language.clone(),
            country: row.country.clone(),
            realm,
            telling: Telling {
                clinic: row.id,
                hinter: self.hinter.clone(),
                fast_path: self.fast_path.clone(),
            },
            mail_provider: self.settings.smtp_url.is_some(),
        })
    }

    fn realm_of(&self, row: &ClinicRow) -> Result<Realm, Unusable> {
        let root = self.central.master.unwrap(row.id.0, &row.root_key_wrapped)?;
        let keys = ClinicKeys::derive(&root);
        let role = roles::database_name(row.id);
        let connect: PgConnectOptions = self
            .central
            .home
            .clone()
            .database(&role)
            .username(&role)
            .password(&keys.database_password())
            .application_name("nadi");
        let pool = Pool::new(
            self.central.home_server.clone(),
            PoolSettings {
                idle: self.idle.connection,
                reached: Some(self.reach.of(row.id)),
                ..PoolSettings::new(connect, row.id.0)
            },
            handshake::of_clinic(row.id),
        );
        let host = format!("{}.{}", row.slug, self.settings.base_domain);
        let sealer = self.central.sealer.clone();
        let chain = Chain::new(row.id.0, &keys, pool.clone(), sealer);
        Ok(Realm {
            id: row.id.0,
            chain,
            bell: Some(self.notices.bell(row.id.0)),
            keys,
            clock: self.clock.clone(),
            url: self.settings.public_url(&host),
            pool,
        })
    }

    /// How many clinics this process holds open just now.
    pub fn known(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Evicts what has idled too long. moka does it only when it is touched, so a timer calls this.
    pub async fn tidy(&self) {
        self.entries.run_pending_tasks().await;
        self.misses.run_pending_tasks().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(doubted: Option<Instant>) -> Entry {
        let row = ClinicRow {
            id: ClinicId::new(),
            slug: "shanti".into(),
            name: "Shanti".into(),
            time_zone: "Asia/Kolkata".into(),
            language: "en".into(),
            country: "IN".into(),
            status: "suspended".into(),
            server_id: crate::ids::ServerId(uuid::Uuid::nil()),
            root_key_wrapped: Vec::new(),
            schema_level: 1,
        };
        let stamp = Freshness::default().stamp("shanti");
        Entry { stamp, doubted, row: Arc::new(row), clinic: None }
    }

    #[test]
    fn grace_begins_when_central_is_first_missed_however_long_ago_it_was_last_asked() {
        let stamp = Freshness::default().stamp("shanti");
        let ago =
            |minutes: u64| Instant::now().checked_sub(Duration::from_secs(60 * minutes)).unwrap();

        let missed = entry(None).hoped(stamp).expect("its grace begins now");
        assert!(missed.doubted.unwrap().elapsed() < Duration::from_secs(60));
        let began = ago(14);
        let still = entry(Some(began)).hoped(stamp).expect("a minute is left");
        assert_eq!(still.doubted, Some(began), "and is not given twice");
        assert!(entry(Some(ago(15))).hoped(stamp).is_none());
    }
}
