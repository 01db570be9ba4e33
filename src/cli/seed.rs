//! `nadi seed`

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use super::{Outcome, core, output};
use crate::app::Core;
use crate::ids::ClinicId;
use crate::platform;
use crate::seed::{self, LoadShape, Plan};
use crate::tenancy::roles;

/// The same seed on the same day makes the same people.
pub const SEED: u64 = 0x6e61_6469;

#[derive(Args)]
pub struct Seed {
    /// A clinic that has no doctors yet
    slug: String,
    /// How many patients
    #[arg(long, value_name = "N", default_value_t = 1000)]
    patients: usize,
    /// How many appointments, past and to come
    #[arg(long, value_name = "N", default_value_t = 2000)]
    appointments: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Seed {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        core.require_central_schema().await?;
        let clinic = platform::clinic(&core.central.realm, &self.slug).await?;
        let clinic = clinic.with_context(|| format!("there is no clinic `{}`", self.slug))?;
        let shape = LoadShape {
            patients: self.patients,
            appointments: self.appointments,
            time_zone: clinic.time_zone.parse().context("the clinic's time zone")?,
        };
        let plan = Plan::load(&shape, SEED, core.clock.now())?;
        write(&core, clinic.id, &plan).await?;
        if self.json {
            output::json(&json!({
                "slug": self.slug, "patients": self.patients, "appointments": self.appointments,
            }))?;
            return Ok(Outcome::Done);
        }
        println!("{}: {} patients, {} appointments", self.slug, self.patients, self.appointments);
        Ok(Outcome::Done)
    }
}

/// Writes a plan into a clinic that has no doctors yet.
pub async fn write(core: &Core, clinic: ClinicId, plan: &Plan) -> anyhow::Result<()> {
    let database = roles::database_name(clinic);
    let mut connection = core.central.home.clone().database(&database).connect().await?;
    let mut tx = connection.begin().await?;
    let is_empty: bool =
        sqlx::query_scalar("select not exists(select from doctors)").fetch_one(&mut *tx).await?;
    if !is_empty {
        bail!("this clinic has doctors already: seeding is for a new one");
    }
    // The plan brings branches of its own.
    sqlx::query("delete from locations").execute(&mut *tx).await?;
    seed::write(&mut tx, plan).await?;
    tx.commit().await?;
    sqlx::query("analyze users, doctors, availability, patients, appointments, claims")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}
