//! What the command line's commands share with the server.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::config::{SettingError, Settings};
use crate::crypto::MasterKey;
use crate::tenancy::freshness::Freshness;
use crate::tenancy::notices::Notices;
use crate::tenancy::{Central, Provisioner, migrate};
use crate::time::Clock;

/// What the command line's commands share with the server: the way to the registry, and the making of clinics.
pub struct Core {
    pub settings: Arc<Settings>,
    pub central: Arc<Central>,
    pub freshness: Arc<Freshness>,
    pub notices: Notices,
    pub provisioner: Arc<Provisioner>,
    pub clock: Clock,
}

impl Core {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When a setting that is needed is missing or cannot be used.
    pub fn new(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let pooled = connect_options("NADI_CENTRAL_DATABASE_URL", settings.require_central()?)?;
        let direct = match &settings.central_database_url_direct {
            Some(url) => connect_options("NADI_CENTRAL_DATABASE_URL_DIRECT", url)?,
            None => pooled.clone(),
        };
        let master = MasterKey::new(settings.require_master_key()?);
        let central = Arc::new(Central::new(&settings, pooled, direct, master, clock.clone())?);
        let freshness = Arc::new(Freshness::default());
        let notices = Notices::new(freshness.clone());
        let provisioner = Arc::new(Provisioner::new(central.clone(), notices.clone()));
        Ok(Self { settings: Arc::new(settings), central, freshness, notices, provisioner, clock })
    }

    /// # Errors
    /// When the central schema is older than this binary needs: migrating it is the operator's decision.
    pub async fn require_central_schema(&self) -> anyhow::Result<()> {
        let connected = self.central.home.connect().await;
        let mut connection = connected
            .context("cannot reach the central database: check NADI_CENTRAL_DATABASE_URL")?;
        let level = migrate::central_pending(&mut connection).await?.current;
        connection.close().await?;
        let needed = migrate::central_level();
        if level < needed {
            bail!(
                "the central database is at level {level}, and this nadi needs {needed}: \
                 run `nadi migrate central` first"
            );
        }
        Ok(())
    }
}

/// The central database's address, without reading anybody's `~/.pgpass`.
fn connect_options(
    name: &str,
    url: &secrecy::SecretString,
) -> Result<PgConnectOptions, SettingError> {
    let options: PgConnectOptions = url.expose_secret().parse().map_err(|_| SettingError::Bad {
        name: name.to_owned(),
        expected: "a PostgreSQL URI, postgresql://user:password@host/database".to_owned(),
    })?;
    Ok(options.application_name("nadi"))
}
