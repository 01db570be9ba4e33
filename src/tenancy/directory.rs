//! From a slug to an open clinic: a bounded cache of entries and another of misses, one load at a time for each name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use moka::future::Cache;
use sqlx::postgres::PgConnectOptions;

use super::central::Central;
use super::freshness::{Freshness, Stamp};
use super::pools::{Pool, PoolSettings};
use super::reach::Reach;
use super::{Clinic, Realm, handshake, roles};
use crate::audit::Chain;
use crate::config::Settings;
use crate::crypto::{ClinicKeys, Unreadable};
use crate::db::Telling;
use crate::error::Problem;
use crate::ids::{ClinicId, ServerId};
use crate::tenancy::hinter::Hinter;
use crate::time::Clock;
use crate::worker::FastPath;

/// With central down, clinics already known go on for this long.
const GRACE: Duration = Duration::from_secs(15 * 60);

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
    /// When the central database last said so; later than that it is only hoped.
    confirmed: Instant,
    row: Option<Arc<ClinicRow>>,
    clinic: Option<Arc<Clinic>>,
}

/// All clinics that this process has met, by slug.
pub struct Directory {
    central: Arc<Central>,
    settings: Arc<Settings>,
    clock: Clock,
    freshness: Arc<Freshness>,
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
        freshness: Arc<Freshness>,
        hinter: Hinter,
        fast_path: FastPath,
        idle: Idle,
    ) -> Self {
        Self {
            central,
            settings,
            clock,
            freshness,
            // Nothing awaits inside the listener: moka runs it within other callers' gets.
            entries: Cache::builder()
                .max_capacity(20_000)
                .time_to_idle(idle.clinic)
                .eviction_listener(|_, entry: Entry, cause| {
                    if cause.was_evicted()
                        && let Some(clinic) = entry.clinic
                    {
                        clinic.realm.pool.close();
                    }
                })
                .build(),
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
                return open(&entry);
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
        self.clinic(&slug).await
    }

    /// An entry that central has confirmed stands until a notice; one that it could not, a second at most.
    fn stands(&self, slug: &str, entry: &Entry) -> bool {
        let certain = entry.confirmed.elapsed() <= entry.stamp.age();
        (certain || entry.stamp.age() < Duration::from_secs(1))
            && self.freshness.stands(("clinic", slug), entry.stamp)
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
                Some(entry) => open(&entry.into_value()),
                None => Err(Closed::Unknown),
            },
            Err(closed) => Err(closed),
        }
    }

    async fn load(&self, slug: &str, known: Option<Entry>) -> Result<Option<Entry>, Closed> {
        let stamp = self.freshness.stamp(("clinic", slug));
        let row = match self.central.clinic_row(slug).await {
            Ok(row) => row,
            Err(error) => {
                // Central is down: what we knew goes on for a while.
                let Some(known) = known.filter(|entry| entry.confirmed.elapsed() < GRACE) else {
                    tracing::warn!(%error, slug, "central does not answer");
                    return Err(Closed::CentralDown);
                };
                return Ok(Some(Entry { stamp, ..known }));
            }
        };
        let confirmed = Instant::now();
        let Some(row) = row else {
            if let Some(clinic) = known.and_then(|entry| entry.clinic) {
                clinic.realm.pool.close();
            }
            self.misses.insert(slug.to_owned(), stamp).await;
            return Ok(None);
        };
        self.slugs.insert(row.id, row.slug.clone()).await; // workers ask by id, also while central is down
        if let Some(known) = known {
            if known.row.as_deref() == Some(&row) && known.clinic.is_some() {
                return Ok(Some(Entry { stamp, confirmed, ..known }));
            }
            if let Some(clinic) = known.clinic {
                clinic.realm.pool.close(); // placement, level, status: whatever changed, connections are made anew
            }
        }
        let clinic = match row.status.as_str() {
            "active" => Some(self.open_clinic(&row).map_err(|error| {
                tracing::error!(%error, slug, "this clinic's keys do not open: is NADI_MASTER_KEY the right one?");
                Closed::Broken
            })?),
            _ => None,
        };
        Ok(Some(Entry { stamp, confirmed, row: Some(Arc::new(row)), clinic }))
    }

    /// Makes the handle. No connection is opened yet.
    fn open_clinic(&self, row: &ClinicRow) -> Result<Arc<Clinic>, Unreadable> {
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
        let realm = Arc::new(Realm {
            id: row.id.0,
            chain,
            keys,
            clock: self.clock.clone(),
            url: self.settings.public_url(&host),
            pool,
        });
        Ok(Arc::new(Clinic {
            id: row.id,
            slug: row.slug.clone(),
            name: row.name.clone(),
            zone: row.time_zone.parse().unwrap_or(Tz::UTC),
            language: row.language.clone(),
            country: row.country.clone(),
            realm,
            telling: Telling {
                clinic: row.id,
                hinter: self.hinter.clone(),
                fast_path: self.fast_path.clone(),
            },
            mail_provider: self.settings.smtp_url.is_some(),
        }))
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

fn open(entry: &Entry) -> Result<Arc<Clinic>, Closed> {
    if let Some(clinic) = &entry.clinic {
        return Ok(clinic.clone());
    }
    Err(match entry.row.as_deref().map(|row| row.status.as_str()) {
        Some("suspended") => Closed::Suspended,
        Some("archived") => Closed::Archived,
        Some("provisioning" | "deleting") => Closed::Provisioning,
        _ => Closed::Unknown,
    })
}
