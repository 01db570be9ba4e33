//! `nadi migrate`

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use super::{Outcome, core, output};
use crate::app::Core;
use crate::tenancy::fleet::{self, Migrated, Plan};
use crate::tenancy::{migrate, roles};

#[derive(Subcommand)]
pub enum Migrate {
    /// Bring the central database up to this binary's level
    Central {
        /// Show what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring clinics up to this binary's level, each by itself
    Clinics(Clinics),
    /// Show levels and what is pending
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub struct Clinics {
    /// These clinics alone
    #[arg(long, value_name = "SLUG", value_delimiter = ',')]
    only: Vec<String>,
    /// How many at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        match self {
            Migrate::Central { dry_run, json } => central(&core, dry_run, json).await,
            Migrate::Clinics(clinics) => clinics.run(&core).await,
            Migrate::Status { json } => status(&core, json).await,
        }
    }
}

/// Migrates the central database, and closes it to everybody but its owner.
pub async fn migrate_central(core: &Core) -> anyhow::Result<Vec<String>> {
    let mut connection = core.central.home.connect().await.context("the central database")?;
    // Tenant migrations grant to this group; the templates need it.
    roles::ensure_group(&mut connection).await?;
    let applied = migrate::central(&mut connection).await?;
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&mut connection).await?;
    roles::close_to_public(&mut connection, &database).await?;
    connection.close().await?;
    Ok(applied)
}

async fn central(core: &Core, dry_run: bool, json: bool) -> anyhow::Result<Outcome> {
    let names = match dry_run {
        true => {
            let mut connection = core.central.home.connect().await?;
            migrate::central_pending(&mut connection).await?.pending
        }
        false => migrate_central(core).await?,
    };
    let level = migrate::central_level();
    if json {
        output::json(&json!({ "level": level, "dry_run": dry_run, "migrations": names }))?;
        return Ok(Outcome::Done);
    }
    let verb = if dry_run { "would apply" } else { "applied" };
    for name in &names {
        println!("{verb} {name}");
    }
    println!("central: level {level}, {} {verb}", names.len());
    Ok(Outcome::Done)
}

impl Clinics {
    async fn run(self, core: &Core) -> anyhow::Result<Outcome> {
        core.require_central_schema().await?;
        let plan = Plan { only: self.only, jobs: usize::from(self.jobs), dry_run: self.dry_run };
        let members = fleet::members(&core.central, &plan.only).await?;
        // indicatif draws on a terminal alone; elsewhere each clinic is a plain line.
        let bar = ProgressBar::new(members.len() as u64).with_style(
            ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let plain = bar.is_hidden();
        let results = fleet::run(&core.central, &plan, |done| {
            bar.set_message(done.slug.clone());
            bar.inc(1);
            if plain {
                eprintln!("{} {}", done.slug, done.outcome.as_str());
            }
        })
        .await?;
        bar.finish_and_clear();
        let failed = results.iter().filter(|r| r.outcome == fleet::Outcome::Failed).count();
        if self.json {
            output::json(&json!({ "dry_run": plan.dry_run, "failed": failed, "items": results }))?;
        } else {
            let rows: Vec<Vec<String>> = results.iter().map(row).collect();
            output::table(&["CLINIC", "FROM", "TO", "OUTCOME", "MS", "ERROR"], &rows);
        }
        match failed {
            0 => Ok(Outcome::Done),
            all if all == results.len() => anyhow::bail!("every clinic failed"),
            _ => Ok(Outcome::Partly),
        }
    }
}

fn row(result: &Migrated) -> Vec<String> {
    vec![
        result.slug.clone(),
        result.from_level.to_string(),
        result.to_level.to_string(),
        result.outcome.as_str().to_owned(),
        result.duration_ms.to_string(),
        result.error.clone().unwrap_or_default(),
    ]
}

async fn status(core: &Core, json: bool) -> anyhow::Result<Outcome> {
    let mut connection = core.central.home.connect().await?;
    let central = migrate::central_pending(&mut connection).await?;
    connection.close().await?;
    let clinics = if central.pending.is_empty() {
        let plan = Plan { only: Vec::new(), jobs: 4, dry_run: true };
        fleet::run(&core.central, &plan, |_| {}).await?
    } else {
        Vec::new()
    };
    if json {
        output::json(&json!({
            "central": {
                "level": central.current, "target": migrate::central_level(), "pending": central.pending,
                "drift": central.drift,
            },
            "clinics": { "target": migrate::tenant_level(), "items": clinics },
        }))?;
        return Ok(Outcome::Done);
    }
    println!(
        "central: level {} of {}, {} pending, {} drifted",
        central.current,
        migrate::central_level(),
        central.pending.len(),
        central.drift.len()
    );
    for drift in &central.drift {
        println!("central: {drift}");
    }
    let rows: Vec<Vec<String>> = clinics
        .iter()
        .map(|clinic| {
            vec![
                clinic.slug.clone(),
                format!("{} of {}", clinic.from_level, migrate::tenant_level()),
                clinic.outcome.as_str().to_owned(),
                clinic.drift.join(" "),
                clinic.error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(&["CLINIC", "LEVEL", "STATE", "DRIFT", "ERROR"], &rows);
    Ok(Outcome::Done)
}
