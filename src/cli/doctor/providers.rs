//! Which providers each clinic has set up, and whether what is named there can be reached. Nothing is sent.

use std::time::Duration;

use anyhow::Context;
use sqlx::PgConnection;

use super::Finding;
use crate::app::{self, Core};
use crate::crypto::ClinicKeys;
use crate::messaging::settings::{self, Bases, Setup};
use crate::tenancy::roles;

const CHECK: &str = "providers";
/// Of more clinics the first are looked at.
const MOST: i64 = 200;

pub(super) async fn of_clinics(core: &Core, connection: &mut PgConnection) -> Vec<Finding> {
    match look(core, connection).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding { check: CHECK, good: false, says: error.to_string() }],
    }
}

async fn look(core: &Core, connection: &mut PgConnection) -> anyhow::Result<Vec<Finding>> {
    let slugs: Vec<String> = sqlx::query_scalar(
        "select slug from clinics where status = 'active' order by slug limit $1",
    )
    .bind(MOST)
    .fetch_all(connection)
    .await?;
    let bases = app::bases(&core.settings, false)?;
    let mut findings = Vec::new();
    for slug in slugs {
        let (good, says) = match setup(core, &bases, &slug).await {
            Err(error) => (false, error.to_string()),
            Ok(setup) => told(&setup).await,
        };
        findings.push(Finding { check: CHECK, good, says: format!("{slug}: {says}") });
    }
    Ok(findings)
}

async fn told(setup: &Setup) -> (bool, String) {
    let mut good = true;
    let mut parts = Vec::new();
    for (name, (host, port)) in setup.hosts() {
        match reachable(&host, port).await {
            Ok(()) => parts.push(format!("{name} answers at {host}")),
            Err(error) => {
                good = false;
                parts.push(format!("{name} at {host}: {error}"));
            }
        }
    }
    if let Some(mail) = setup.mail.as_ref().filter(|mail| mail.is_own) {
        match mail.server.answers().await {
            Ok(()) => parts.push("its own mail server answers".into()),
            Err(error) => {
                good = false;
                parts.push(format!("its own mail server: {error}"));
            }
        }
    }
    if parts.is_empty() {
        parts.push("no provider of its own".into());
    }
    (good, parts.join("; "))
}

async fn setup(core: &Core, bases: &Bases, slug: &str) -> anyhow::Result<Setup> {
    let row = core.central.clinic_row(slug).await?.context("it is gone")?;
    let keys = ClinicKeys::derive(&core.central.master.unwrap(row.id.0, &row.root_key_wrapped)?);
    let pool = core.central.as_owner(&roles::database_name(row.id));
    let mut conn = pool.acquire().await?;
    let kept = settings::read(&mut conn).await?;
    let providers = kept.providers(&keys)?;
    Ok(Setup::new(kept.version, &core.settings.base_domain, providers, &kept.policies, bases))
}

async fn reachable(host: &str, port: u16) -> Result<(), String> {
    let connecting = tokio::net::TcpStream::connect((host, port));
    match tokio::time::timeout(Duration::from_secs(3), connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it takes too long to answer".into()),
    }
}
