//! Follows the chains of audit logs, the platform's and the clinics', and names the first link that is broken.

use futures_util::StreamExt;
use futures_util::stream;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use super::Finding;
use crate::app::Core;
use crate::audit::{self, ChainKey, Verdict};
use crate::crypto::ClinicKeys;
use crate::tenancy::fleet::{self, Member};
use crate::tenancy::roles;

const CHECK: &str = "audit log";

/// How many logs are followed at once.
const AT_ONCE: usize = 4;

/// A row is sealed within seconds: one that waits longer than this waits for nobody.
const OVERDUE_SECONDS: f64 = 3_600.0;

/// One finding for each log that has something, and one for all that are good.
pub async fn chains(core: &Core, only: &[String]) -> Vec<Finding> {
    let bad = |says: String| Finding { check: CHECK, good: false, says };
    let members = match fleet::members(&core.central, only).await {
        Ok(members) => members,
        Err(error) => return vec![bad(error.to_string())],
    };
    let mut findings = Vec::new();
    if only.is_empty() {
        let home = core.central.home.clone();
        let followed = follow(core, Uuid::nil(), core.central.master.platform(), home).await;
        findings.push(judge("the platform", followed));
    }
    let mut clinics = stream::iter(&members)
        .map(|member| async move { judge(&member.slug, clinic(core, member).await) })
        .buffered(AT_ONCE);
    let mut good = 0;
    while let Some(finding) = clinics.next().await {
        match finding.good && only.is_empty() {
            true => good += 1,
            false => findings.push(finding),
        }
    }
    if good > 0 {
        let says = format!("{good} clinics' chains are whole");
        findings.push(Finding { check: CHECK, good: true, says });
    }
    findings
}

async fn clinic(core: &Core, member: &Member) -> anyhow::Result<Verdict> {
    let row = core.central.clinic_row(&member.slug).await?;
    let wrapped = row.map(|row| row.root_key_wrapped).unwrap_or_default();
    let root = core.central.master.unwrap(member.id.0, &wrapped)?;
    let connect = core.central.home.clone().database(&roles::database_name(member.id));
    follow(core, member.id.0, &ClinicKeys::derive(&root), connect).await
}

async fn follow(
    core: &Core,
    realm: Uuid,
    keys: &ClinicKeys,
    connect: PgConnectOptions,
) -> anyhow::Result<Verdict> {
    // What central knows is asked first: what is sealed while we look makes the log longer, never shorter.
    let mut central = core.central.home.connect().await?;
    let known = audit::known_head(&mut central, realm).await?;
    central.close().await?;
    let mut conn = connect.connect().await?;
    // A log may be long, and nothing is changed.
    sqlx::raw_sql("set statement_timeout = 0; set default_transaction_read_only = on")
        .execute(&mut conn)
        .await?;
    let verdict = audit::verify(&mut conn, &ChainKey::of(keys), known).await?;
    conn.close().await?;
    Ok(verdict)
}

fn judge(whose: &str, followed: anyhow::Result<Verdict>) -> Finding {
    let (good, says) = match followed {
        Err(error) => (false, format!("{whose}: {error}")),
        Ok(verdict) => {
            let (good, says) = words(&verdict);
            (good, format!("{whose}: {says}"))
        }
    };
    Finding { check: CHECK, good, says }
}

fn words(verdict: &Verdict) -> (bool, String) {
    if let Some(broken) = &verdict.broken {
        return (false, format!("{broken}; {} links before it are whole", verdict.links));
    }
    if verdict.was_moved {
        let remedy = "as its owner, once, `select audit_log_was_moved()`";
        return (false, format!("this database was restored from another server: {remedy}"));
    }
    if let (waiting, Some(oldest)) = verdict.waiting
        && oldest > OVERDUE_SECONDS
    {
        return (
            false,
            format!(
                "{waiting} rows wait to be sealed, the oldest for {oldest:.0} s: is `nadi serve` running?"
            ),
        );
    }
    let head: String = verdict.head[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut says = format!("{} links are whole, the last is {head}", verdict.links);
    if let (late, Some(first)) = verdict.late {
        says.push_str(&format!(
            "; {late} rows say that they were written more than an hour before they were sealed, the first is row {first}"
        ));
    }
    (true, says)
}
