//! `nadi clinic`

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Outcome, core, output};
use crate::app::Core;
use crate::audit::Actor;
use crate::auth::links;
use crate::http::fields::{Fields, Frame, Readable};
use crate::platform;
use crate::platform::model::{ClinicRequest, ClinicStatus, ClinicView};
use crate::tenancy::wakeups;

#[derive(Subcommand)]
pub enum Clinic {
    /// Make a clinic: its own database, ready to answer
    Create(Create),
    /// List clinics
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one clinic
    Show {
        /// The clinic's name in addresses
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Suspend a clinic: nobody signs in, nothing is answered
    Suspend(Change),
    /// Let a suspended clinic work again
    Resume(Change),
    /// Archive a clinic for good; its data is kept
    Archive(Change),
    /// Have every clinic looked at within ten minutes: after the central database was restored, or lost its last writes
    Sweep {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub struct Change {
    /// The clinic's name in addresses
    slug: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Create {
    /// Its name in addresses: 3 to 40 of a-z 0-9 -
    slug: String,
    /// The clinic's full name
    #[arg(long)]
    name: String,
    /// IANA zone, such as Asia/Kolkata
    #[arg(long)]
    time_zone: String,
    /// ISO 639
    #[arg(long, default_value = "en")]
    language: String,
    /// ISO 3166, two letters
    #[arg(long, default_value = "IN")]
    country: String,
    /// The first admin's e-mail
    #[arg(long)]
    admin_email: String,
    /// The first admin's full name
    #[arg(long, default_value = "Clinic admin")]
    admin_name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Clinic {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        core.require_central_schema().await?;
        match self {
            Clinic::Create(create) => create.run(&core).await?,
            Clinic::List { json } => list(&core, json).await?,
            Clinic::Show { slug, json } => show(&core, &slug, json).await?,
            Clinic::Suspend(change) => change.run(&core, ClinicStatus::Suspended).await?,
            Clinic::Resume(change) => change.run(&core, ClinicStatus::Active).await?,
            Clinic::Archive(change) => change.run(&core, ClinicStatus::Archived).await?,
            Clinic::Sweep { json } => sweep(&core, json).await?,
        }
        Ok(Outcome::Done)
    }
}

impl Create {
    async fn run(self, core: &Core) -> anyhow::Result<()> {
        // The same reader as the API's, so that a rule cannot hold in one and not in the other.
        let asked = json!({
            "slug": self.slug, "name": self.name, "time_zone": self.time_zone,
            "language": self.language, "country": self.country,
            "admin": { "full_name": self.admin_name, "email": self.admin_email },
        });
        let frame =
            Frame { now: core.clock.now(), zone: chrono_tz::Tz::UTC, country: String::new() };
        let mut fields = Fields::of_body(asked.as_object().cloned().unwrap_or_default(), frame);
        let request = ClinicRequest::read(&mut fields);
        let faults = fields.finish();
        let Some(request) = request.filter(|_| faults.is_empty()) else {
            let lines: Vec<String> = faults
                .iter()
                .map(|fault| {
                    format!("{}: {}", fault.pointer.as_deref().unwrap_or("?"), fault.message)
                })
                .collect();
            anyhow::bail!("{}", lines.join("\n"));
        };
        let new = request.into_new(None);
        let made = core.provisioner.provision(&new, Actor::platform()).await?;
        let host = format!("{}.{}", new.slug, core.settings.base_domain);
        let url = core.settings.public_url(&host);
        let link = links::url(&url, &made.password_token);
        if self.json {
            return output::json(&json!({
                "id": made.id, "slug": new.slug, "url": url, "set_password_url": link,
            }));
        }
        println!("{} answers at {url}", new.slug);
        println!("{} sets a password at {link}", new.admin.email);
        Ok(())
    }
}

async fn list(core: &Core, json: bool) -> anyhow::Result<()> {
    let clinics = platform::all_clinics(&core.central.realm).await?;
    if json {
        return output::json(&json!({ "items": clinics }));
    }
    let rows: Vec<Vec<String>> = clinics.iter().map(row).collect();
    output::table(&["SLUG", "STATUS", "LEVEL", "ZONE", "NAME"], &rows);
    Ok(())
}

fn row(clinic: &ClinicView) -> Vec<String> {
    vec![
        clinic.slug.clone(),
        clinic.status.as_str().to_owned(),
        clinic.schema_level.to_string(),
        clinic.time_zone.clone(),
        clinic.name.clone(),
    ]
}

async fn show(core: &Core, slug: &str, json: bool) -> anyhow::Result<()> {
    let clinic = platform::clinic(&core.central.realm, slug).await?;
    let clinic = clinic.ok_or_else(|| anyhow::anyhow!("there is no clinic `{slug}`"))?;
    if json {
        return output::json(&clinic);
    }
    let shown = serde_json::to_value(&clinic)?;
    let rows: Vec<Vec<String>> = shown
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            vec![name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
        })
        .collect();
    output::table(&["FIELD", "VALUE"], &rows);
    Ok(())
}

async fn sweep(core: &Core, json: bool) -> anyhow::Result<()> {
    let mut conn = core.central.realm.read().await?;
    wakeups::add_missing(conn.never_repeat()).await?; // a restored ledger may lack rows
    let clinics = wakeups::sweep_soon(&mut conn).await?;
    if json {
        return output::json(&json!({ "clinics": clinics }));
    }
    println!("{clinics} clinics are looked at within ten minutes");
    Ok(())
}

impl Change {
    async fn run(self, core: &Core, to: ClinicStatus) -> anyhow::Result<()> {
        let realm = &core.central.realm;
        let set = platform::set_status(realm, &core.notices, &self.slug, to, Actor::platform());
        let clinic = set.await.with_context(|| self.slug.clone())?;
        if self.json {
            return output::json(&clinic);
        }
        println!("{} is {}", self.slug, clinic.status.as_str());
        Ok(())
    }
}
