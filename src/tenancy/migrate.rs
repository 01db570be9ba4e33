//! Migrations are dull: refinery, each database by itself, under an advisory lock held by the same session, each migration
//! in a transaction of its own; a divergent or a missing one aborts. Requests never come here.

use std::time::Duration;

use refinery::Runner;
use refinery_core::Migration;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

mod central {
    refinery::embed_migrations!("migrations/central");
}

mod tenant {
    refinery::embed_migrations!("migrations/tenant");
}

/// The lowest level of a clinic's schema that this binary serves: the one of the release before, once there is one. Clinics are
/// migrated first, while older binaries go on (a migration that only adds leaves `min_binary_level` alone), then binaries.
pub const MIN_LEVEL: i32 = 17;

/// One advisory lock for whoever migrates a database: `nadi`, `migr`.
const LOCK: &str = "select pg_advisory_lock(1851876457, 1835624306)";

/// The level that this binary migrates a clinic's schema to.
pub fn tenant_level() -> i32 {
    last_version(&tenant::migrations::runner())
}

/// The level that this binary needs of the central schema.
pub fn central_level() -> i32 {
    last_version(&central::migrations::runner())
}

fn last_version(runner: &Runner) -> i32 {
    runner.get_migrations().iter().map(|m| m.version()).max().unwrap_or(0)
}

/// The name of this binary's template: level and content, so that no other binary's is taken for it.
pub fn template_name() -> String {
    let mut content = String::new();
    for migration in tenant::migrations::runner().get_migrations() {
        content.push_str(&format!("{}:{};", migration.version(), migration.checksum()));
    }
    for (setting, value) in super::roles::SETTINGS {
        content.push_str(&format!("{setting}={value};"));
    }
    let digest = crate::crypto::sha256(content.as_bytes());
    let short: String = digest[..5].iter().map(|b| format!("{b:02x}")).collect();
    format!("nadi_template_{}_{short}", tenant_level())
}

/// What stopped a migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("{0}")]
    Refinery(#[from] refinery::Error),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// A schema's version and what is still to come, without changing anything.
pub struct Pending {
    pub current: i32,
    pub pending: Vec<String>,
    /// What was applied there and is not what this binary knows by that number.
    pub drift: Vec<String>,
}

/// Brings the central schema up; returns the names of what was applied.
pub async fn central(connection: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    run(connection, central::migrations::runner()).await
}

/// Brings one clinic's schema up; returns the names of what was applied.
pub async fn tenant(connection: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    run(connection, tenant::migrations::runner()).await
}

pub async fn central_pending(connection: &mut PgConnection) -> Result<Pending, MigrateError> {
    pending(connection, central::migrations::runner()).await
}

pub async fn tenant_pending(connection: &mut PgConnection) -> Result<Pending, MigrateError> {
    pending(connection, tenant::migrations::runner()).await
}

async fn run(connection: &mut PgConnection, runner: Runner) -> Result<Vec<String>, MigrateError> {
    // A clinic's database ends its people's statements after a while. An index takes as long as it takes.
    set_timeout(connection, "statement_timeout", Duration::ZERO).await?;
    // A lock that is not to be had within the time is an error, not a queue in front of the clinic's own work.
    set_timeout(connection, "lock_timeout", Duration::from_secs(60)).await?;
    sqlx::query(LOCK).execute(&mut *connection).await?;
    set_timeout(connection, "lock_timeout", Duration::from_secs(5)).await?;
    let report = runner
        .set_abort_divergent(true)
        .set_abort_missing(true)
        .run_async(&mut Session(connection))
        .await?; // the lock ends with the connection, which nobody uses after a failure
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut *connection).await?;
    Ok(report.applied_migrations().iter().map(|m| m.to_string()).collect())
}

async fn set_timeout(
    connection: &mut PgConnection,
    name: &str,
    limit: Duration,
) -> sqlx::Result<()> {
    sqlx::query("select set_config($1, $2, false)")
        .bind(name)
        .bind(format!("{}ms", limit.as_millis()))
        .execute(connection)
        .await
        .map(drop)
}

async fn pending(connection: &mut PgConnection, runner: Runner) -> Result<Pending, MigrateError> {
    let has_history: bool =
        sqlx::query_scalar("select to_regclass('refinery_schema_history') is not null")
            .fetch_one(&mut *connection)
            .await?;
    let applied: Vec<(i32, String, String)> = if has_history {
        sqlx::query_as(
            "select version, name, checksum from refinery_schema_history order by version",
        )
        .fetch_all(&mut *connection)
        .await?
    } else {
        Vec::new()
    };
    let known = runner.get_migrations();
    let pending = known
        .iter()
        .filter(|m| applied.iter().all(|(version, _, _)| *version != m.version()))
        .map(|m| m.to_string())
        .collect();
    let drift = applied
        .iter()
        .filter_map(|(version, name, checksum)| {
            match known.iter().find(|m| m.version() == *version) {
                None => Some(format!("V{version}__{name} (unknown to this binary)")),
                Some(m) if m.name() == name && m.checksum().to_string() == *checksum => None,
                Some(_) => Some(format!("V{version}__{name} (changed since)")),
            }
        })
        .collect();
    let current = applied.last().map_or(0, |(version, _, _)| *version);
    Ok(Pending { current, pending, drift })
}

/// refinery's view of our connection: it has no driver for sqlx.
struct Session<'c>(&'c mut PgConnection);

impl AsyncTransaction for Session<'_> {
    type Error = sqlx::Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, sqlx::Error> {
        let mut tx = self.0.begin().await?;
        let mut count = 0;
        for query in queries {
            sqlx::raw_sql(AssertSqlSafe(query)).execute(&mut *tx).await?;
            count += 1;
        }
        tx.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Session<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, sqlx::Error> {
        let decode = |e: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(e);
        let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut *self.0).await?;
        rows.iter()
            .map(|row| {
                let applied_on: String = row.try_get(2)?;
                let checksum: String = row.try_get(3)?;
                Ok(Migration::applied(
                    row.try_get(0)?,
                    row.try_get(1)?,
                    OffsetDateTime::parse(&applied_on, &Rfc3339).map_err(|e| decode(e.into()))?,
                    checksum.parse().map_err(|e: std::num::ParseIntError| decode(e.into()))?,
                ))
            })
            .collect()
    }
}

impl AsyncMigrate for Session<'_> {}
