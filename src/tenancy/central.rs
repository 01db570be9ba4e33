//! The central database: the registry of clinics, and the way to the PostgreSQL server that it lives on.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::pools::{BudgetError, Pool, PoolSettings, Server};
use super::registry::Door;
use super::{Realm, handshake};
use crate::audit::{Chain, Sealer};
use crate::config::Settings;
use crate::crypto::MasterKey;
use crate::error::Problem;
use crate::time::Clock;

/// Connections set aside for the central database before any clinic gets one: for the registry, sign-ins on the platform,
/// provisioning.
const SHARE: usize = 2;
/// What holds a connection of its own beside the pools: the sender of hints, and the listener for notices.
const OWN: usize = 2;

/// Everything that reaches the central database.
pub struct Central {
    pub master: MasterKey,
    pub realm: Arc<Realm>,
    /// The way in as the provisioning role, past any pooler.
    pub home: PgConnectOptions,
    /// The budget of connections to it, less central's share.
    pub home_server: Arc<Server>,
    /// Links audit logs into chains, the platform's and clinics'.
    pub sealer: Arc<Sealer>,
    pub(super) door: Door,
}

impl Central {
    /// Opens nothing yet: connections are made when they are needed.
    ///
    /// # Errors
    /// When the budget is too small for its fixed shares.
    pub fn new(
        settings: &Settings,
        pooled: PgConnectOptions,
        direct: PgConnectOptions,
        master: MasterKey,
        clock: Clock,
    ) -> Result<Self, BudgetError> {
        let budget = settings.connection_budget.saturating_sub(OWN);
        let home_server = Server::new("home", budget, Some(direct.clone()))?;
        let share = home_server.set_aside("central", SHARE)?;
        // Where another way past it is named, the first one leads through a pooler: its backends are shared, so statements
        // have no names and sessions no settings there.
        let persistent = settings.central_database_url_direct.is_none();
        let central =
            PoolSettings { max_open: SHARE, persistent, ..PoolSettings::new(pooled, Uuid::nil()) };
        let host = format!("admin.{}", settings.base_domain);
        let pool = Pool::new(share, central, handshake::none());
        let keys = master.platform().clone();
        let sealer = Sealer::new(pool.clone());
        let chain = Chain::new(Uuid::nil(), &keys, pool.clone(), sealer.clone());
        let url = settings.public_url(&host);
        let realm = Arc::new(Realm { id: Uuid::nil(), keys, clock, url, chain, bell: None, pool });
        Ok(Self { master, realm, home: direct, home_server, sealer, door: Door::default() })
    }

    /// Connections open to the home server, all pools together.
    pub fn open_connections(&self) -> usize {
        self.home_server.open_connections() + self.realm.pool.server().open_connections() + OWN
    }

    /// A pool of one connection to the central database itself, past any pooler: for session locks, and for making databases.
    pub fn directly(&self) -> Pool {
        self.as_provisioner(self.home.clone())
    }

    /// A pool of one connection to a clinic's database as the provisioning role, inside the budget.
    pub fn as_owner(&self, database: &str) -> Pool {
        self.as_provisioner(self.home.clone().database(database))
    }

    fn as_provisioner(&self, connect: PgConnectOptions) -> Pool {
        Pool::new(
            self.home_server.clone(),
            PoolSettings { max_open: 1, ..PoolSettings::new(connect, Uuid::nil()) },
            handshake::none(),
        )
    }
}

impl From<crate::tenancy::pools::AcquireError> for Problem {
    /// Of the platform's own connections; a clinic's are translated where its name is known.
    fn from(error: crate::tenancy::pools::AcquireError) -> Self {
        tracing::warn!(%error, "no connection");
        Problem::unavailable("unavailable", "the database cannot be reached now")
    }
}
