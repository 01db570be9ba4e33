//! Migrating all clinics: each by itself; one that fails stops no other. What happened to each is on record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::central::Central;
use super::notices::Notice;
use super::{migrate, roles};
use crate::audit::Actor;
use crate::error::Problem;
use crate::ids::{ClinicId, RunId};

/// What became of one clinic.
#[derive(Clone, Debug, Serialize)]
pub struct Migrated {
    pub slug: String,
    pub from_level: i32,
    pub to_level: i32,
    pub outcome: Outcome,
    /// Applied migrations that are not this binary's.
    pub drift: Vec<String>,
    pub error: Option<String>,
    pub duration_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    #[serde(rename = "migrated")]
    Done,
    Current,
    Failed,
    /// A dry run found work to do.
    Pending,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "migrated",
            Outcome::Current => "current",
            Outcome::Failed => "failed",
            Outcome::Pending => "pending",
        }
    }
}

/// Which clinics, how many at a time, and whether to change anything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Empty: all of them.
    pub only: Vec<String>,
    pub jobs: usize,
    pub dry_run: bool,
}

/// A clinic whose schema may be migrated.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Member {
    pub id: ClinicId,
    pub slug: String,
}

/// The clinics of a plan, by slug.
///
/// # Errors
/// The names of the plan that no clinic has.
pub async fn members(central: &Central, only: &[String]) -> Result<Vec<Member>, FleetError> {
    let mut conn = central.realm.read().await?;
    let all: Vec<Member> = sqlx::query_as(
        "select id, slug from clinics where status in ('active', 'suspended', 'archived') order by slug",
    )
    .fetch_all(&mut conn)
    .await?;
    if only.is_empty() {
        return Ok(all);
    }
    let unknown: Vec<&str> = only
        .iter()
        .map(String::as_str)
        .filter(|slug| all.iter().all(|member| member.slug != *slug))
        .collect();
    if !unknown.is_empty() {
        return Err(FleetError::Unknown(unknown.join(", ")));
    }
    Ok(all.into_iter().filter(|member| only.contains(&member.slug)).collect())
}

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("there is no clinic {0}")]
    Unknown(String),
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Migrates the clinics of a plan; `tell` hears of each as it is done.
///
/// # Errors
/// Only those of the registry itself: a clinic's own are in its result.
pub async fn run(
    central: &Arc<Central>,
    plan: &Plan,
    tell: impl Fn(&Migrated),
) -> Result<Vec<Migrated>, FleetError> {
    let members = members(central, &plan.only).await?;
    let run = RunId::new();
    if !plan.dry_run {
        let mut conn = central.realm.read().await?;
        sqlx::query(
            "insert into migration_runs (id, target_level, started_by) values ($1, $2, 'command line')",
        )
        .bind(run)
        .bind(migrate::tenant_level())
        .execute(conn.never_repeat())
        .await?;
    }
    let mut results = Vec::with_capacity(members.len());
    let mut running = stream::iter(members)
        .map(|member| async move {
            let result = one(central, &member, plan.dry_run).await;
            if !plan.dry_run {
                note(central, run, &member, &result).await;
            }
            result
        })
        .buffer_unordered(plan.jobs.max(1));
    while let Some(result) = running.next().await {
        tell(&result);
        results.push(result);
    }
    if !plan.dry_run {
        let mut conn = central.realm.read().await?;
        sqlx::query("update migration_runs set finished_at = now() where id = $1")
            .bind(run)
            .execute(&mut conn)
            .await?;
    }
    results.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(results)
}

/// One clinic, over a connection of its own as the provisioning role.
async fn one(central: &Central, member: &Member, dry_run: bool) -> Migrated {
    let began = Instant::now();
    let mut result = Migrated {
        slug: member.slug.clone(),
        from_level: 0,
        to_level: 0,
        outcome: Outcome::Failed,
        drift: Vec::new(),
        error: None,
        duration_ms: 0,
    };
    let connect = central.home.clone().database(&roles::database_name(member.id));
    let migrated: Result<(), migrate::MigrateError> = async {
        let mut connection = connect_within(connect).await?;
        let before = migrate::tenant_pending(&mut connection).await?;
        (result.from_level, result.to_level) = (before.current, before.current);
        result.drift = before.drift;
        if !result.drift.is_empty() {
            // Whatever is pending here was written for another history.
            let drift = result.drift.join(", ");
            result.error = Some(format!("its history is not this binary's: {drift}"));
        } else if before.pending.is_empty() {
            result.outcome = Outcome::Current;
        } else if dry_run {
            result.outcome = Outcome::Pending;
        } else {
            migrate::tenant(&mut connection).await?;
            result.to_level = migrate::tenant_pending(&mut connection).await?.current;
            result.outcome = Outcome::Done;
        }
        Ok(connection.close().await?)
    }
    .await;
    if let Err(error) = migrated {
        result.outcome = Outcome::Failed;
        result.error = Some(error.to_string());
    }
    result.duration_ms = began.elapsed().as_millis() as u64;
    result
}

async fn connect_within(
    connect: sqlx::postgres::PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    tokio::time::timeout(Duration::from_secs(10), connect.connect())
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// Puts a result on record and tells instances to look again. A failure here is logged: the clinic itself is done.
async fn note(central: &Central, run: RunId, member: &Member, result: &Migrated) {
    let noted: Result<(), FleetError> = async {
        let mut tx = central.realm.begin(Actor::platform()).await?;
        sqlx::query(
            "with seen as (
               update clinics set schema_level = greatest(schema_level, $4), last_error = $6, updated_at = now()
               where id = $2)
             insert into migration_results (run_id, clinic_id, from_level, to_level, outcome, error, duration_ms)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run)
        .bind(member.id)
        .bind(result.from_level)
        .bind(result.to_level)
        .bind(result.outcome.as_str())
        .bind(&result.error)
        .bind(result.duration_ms as i32)
        .execute(&mut *tx)
        .await?;
        Notice::Clinic(member.slug.clone()).announce(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
    .await;
    if let Err(error) = noted {
        tracing::warn!(%error, slug = member.slug, "the result could not be put on record");
    }
}
