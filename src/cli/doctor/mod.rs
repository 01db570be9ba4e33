//! `nadi doctor`: looks at everything, changes nothing, and says what to do.

mod audit;
mod bookings;
mod providers;

use clap::Args;
use serde::Serialize;
use sqlx::{ConnectOptions, PgConnection};

use super::{Outcome, core, output};
use crate::app::Core;
use crate::messaging::MailServer;
use crate::tenancy::fleet::{self, Plan};
use crate::tenancy::migrate;

#[derive(Args)]
pub struct Doctor {
    /// Look through the book and the audit log of this clinic alone (may be given several times), not of all and of the platform
    #[arg(long, value_name = "SLUG")]
    clinic: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    check: &'static str,
    good: bool,
    says: String,
}

impl Doctor {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        let findings = examine(&core, &self.clinic).await;
        let sick = findings.iter().filter(|finding| !finding.good).count();
        if self.json {
            output::json(&serde_json::json!({ "healthy": sick == 0, "findings": findings }))?;
        } else {
            let rows: Vec<Vec<String>> = findings
                .iter()
                .map(|f| {
                    let mark = if f.good { "good" } else { "BAD" };
                    vec![mark.into(), f.check.into(), f.says.clone()]
                })
                .collect();
            output::table(&["", "CHECK", "SAYS"], &rows);
        }
        match sick {
            0 => Ok(Outcome::Done),
            _ => anyhow::bail!("{sick} of {} checks found something", findings.len()),
        }
    }
}

async fn examine(core: &Core, only: &[String]) -> Vec<Finding> {
    let mut findings = vec![mail(core).await];
    let connected = core.central.home.connect().await;
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            findings.push(Finding {
                check: "central database",
                good: false,
                says: format!("{error}: check NADI_CENTRAL_DATABASE_URL"),
            });
            return findings;
        }
    };
    for checked in [
        schema(&mut connection).await,
        server_version(&mut connection).await,
        locale(&mut connection).await,
        rights(&mut connection).await,
        open_doors(&mut connection).await,
        connections(core, &mut connection).await,
        clocks(core, &mut connection).await,
    ] {
        findings.push(checked.unwrap_or_else(|error| Finding {
            check: "central database",
            good: false,
            says: error.to_string(),
        }));
    }
    if findings.iter().all(|finding| finding.check != "central schema" || finding.good) {
        findings.push(master_key(core, &mut connection).await.unwrap_or_else(|error| Finding {
            check: "master key",
            good: false,
            says: error.to_string(),
        }));
        findings.extend(clinics(core).await);
        findings.extend(providers::of_clinics(core, &mut connection).await);
        findings.extend(bookings::of_clinics(core, only).await);
        findings.extend(audit::chains(core, only).await);
    }
    findings
}

/// Whether the mail server lets us in. Nothing is sent.
async fn mail(core: &Core) -> Finding {
    let check = "mail server";
    let Some(url) = &core.settings.smtp_url else {
        let says = "none: messages have no way out until NADI_SMTP_URL names one";
        return Finding { check, good: true, says: says.into() };
    };
    let answered = match MailServer::new(url) {
        Ok(server) => server.answers().await,
        Err(error) => Err(error.to_string()),
    };
    match answered {
        Ok(()) => Finding { check, good: true, says: "it answers, and lets us in".into() },
        Err(error) => Finding { check, good: false, says: format!("{error}: check NADI_SMTP_URL") },
    }
}

/// Every clinic's keys are wrapped by the master key: by this one?
async fn master_key(core: &Core, connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let wrapped: Vec<(uuid::Uuid, String, Vec<u8>)> =
        sqlx::query_as("select id, slug, root_key_wrapped from clinics order by slug")
            .fetch_all(connection)
            .await?;
    let master = &core.central.master;
    let shut: Vec<&str> = wrapped
        .iter()
        .filter(|(id, _, root)| master.unwrap(*id, root).is_err())
        .map(|(_, slug, _)| slug.as_str())
        .collect();
    let says = match shut.is_empty() {
        true => format!(
            "fingerprint {}; it opens the keys of all {} clinics; keep a copy in escrow",
            master.fingerprint(),
            wrapped.len()
        ),
        false => format!(
            "fingerprint {}; it does not open the keys of {}: is NADI_MASTER_KEY the one they were made with?",
            master.fingerprint(),
            shut.join(", ")
        ),
    };
    Ok(Finding { check: "master key", good: shut.is_empty(), says })
}

async fn schema(connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let pending = migrate::central_pending(connection).await?;
    let says = match (pending.drift.is_empty(), pending.pending.len()) {
        (false, _) => format!("its history is not this binary's: {}", pending.drift.join(", ")),
        (true, 0) => format!("level {}", pending.current),
        (true, count) => format!("{count} migrations pending: run `nadi migrate central`"),
    };
    let good = pending.drift.is_empty() && pending.pending.is_empty();
    Ok(Finding { check: "central schema", good, says })
}

async fn server_version(connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer")
        .fetch_one(connection)
        .await?;
    Ok(Finding {
        check: "PostgreSQL",
        good: version >= 150_000,
        says: format!("version {}; 15 or newer is needed", version / 10_000),
    })
}

/// Under plain `C`, trigrams drop every letter outside ASCII, and patients in other scripts are not found.
async fn locale(connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let wrong: Vec<String> = sqlx::query_scalar(
        "select datname from pg_database
         where (datname like 'nadi\\_c\\_%' or datname like 'nadi\\_template\\_%')
           and (pg_encoding_to_char(encoding) <> 'UTF8' or datctype in ('C', 'POSIX'))",
    )
    .fetch_all(connection)
    .await?;
    Ok(Finding {
        check: "locale",
        good: wrong.is_empty(),
        says: match wrong.is_empty() {
            true => "every clinic's database is UTF-8 with a real character type".into(),
            false => format!("{}: names in Indian scripts are not found there", wrong.join(", ")),
        },
    })
}

async fn rights(connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let (superuser, createdb, createrole): (bool, bool, bool) = sqlx::query_as(
        "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user",
    )
    .fetch_one(connection)
    .await?;
    let (good, says) = match (superuser, createdb && createrole) {
        (true, _) => {
            (false, "the provisioning role is a superuser: give it CREATEDB and CREATEROLE alone")
        }
        (false, false) => (false, "the provisioning role needs CREATEDB and CREATEROLE"),
        (false, true) => (true, "the provisioning role may do what it needs, and no more"),
    };
    Ok(Finding { check: "provisioning role", good, says: says.into() })
}

/// Databases that a clinic's role could connect to although it should not: ours must be shut. Those of others on the same
/// server are for their owners to shut.
async fn open_doors(connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let open: Vec<(String, bool)> = sqlx::query_as(
        "select datname,
                datname in (current_database(), 'postgres', 'template1')
                or datname ^@ 'nadi_c_' or datname ^@ 'nadi_template_' as ours
         from pg_database d
         where datallowconn and datname <> 'template0'
           and exists(select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as acl
                      where acl.grantee = 0 and acl.privilege_type = 'CONNECT')
         order by datname",
    )
    .fetch_all(connection)
    .await?;
    let (ours, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, ours)| *ours);
    let names = |databases: &[(String, bool)]| {
        databases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let remedy = "as their owner, `revoke connect, temporary on database … from public`";
    Ok(Finding {
        check: "closed doors",
        good: ours.is_empty(),
        says: match (ours.is_empty(), others.len()) {
            (true, 0) => "no database lets PUBLIC connect".into(),
            (true, count) => format!(
                "none of ours lets PUBLIC connect; {count} of others on this server do: {remedy}"
            ),
            (false, _) => format!("PUBLIC may connect to {}: {remedy}", names(&ours)),
        },
    })
}

async fn connections(core: &Core, connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let (max, reserved, instances): (i32, i32, i64) = sqlx::query_as(
        "select current_setting('max_connections')::integer,
                current_setting('superuser_reserved_connections')::integer,
                case when to_regclass('instances') is null then 0 else
                  (select count(*) from instances where seen_at > now() - interval '1 minute') end",
    )
    .fetch_one(connection)
    .await?;
    let budget = core.settings.connection_budget as i64;
    let wanted = budget * instances.max(1);
    let free = i64::from(max - reserved);
    Ok(Finding {
        check: "connections",
        good: wanted <= free,
        says: format!(
            "{} instances × {budget} = {wanted} of {free} that the server allows{}",
            instances.max(1),
            if wanted <= free {
                ""
            } else {
                ": lower NADI_CONNECTION_BUDGET or raise max_connections"
            }
        ),
    })
}

async fn clocks(core: &Core, connection: &mut PgConnection) -> anyhow::Result<Finding> {
    let theirs: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(connection).await?;
    let apart = (core.clock.now() - theirs).num_milliseconds().abs();
    Ok(Finding {
        check: "clocks",
        good: apart < 2000,
        says: format!("{apart} ms apart from the server's"),
    })
}

async fn clinics(core: &Core) -> Vec<Finding> {
    let plan = Plan { only: Vec::new(), jobs: 4, dry_run: true };
    let results = match fleet::run(&core.central, &plan, |_| {}).await {
        Ok(results) => results,
        Err(error) => {
            return vec![Finding { check: "clinics", good: false, says: error.to_string() }];
        }
    };
    let mut findings = Vec::new();
    for clinic in &results {
        let says = match clinic.outcome {
            fleet::Outcome::Failed => {
                format!("{}: {}", clinic.slug, clinic.error.clone().unwrap_or_default())
            }
            fleet::Outcome::Pending => {
                format!("{}: level {}; run `nadi migrate clinics`", clinic.slug, clinic.from_level)
            }
            _ => continue,
        };
        findings.push(Finding { check: "clinics", good: false, says });
    }
    if findings.is_empty() {
        let says =
            format!("{} clinics answer, all at level {}", results.len(), migrate::tenant_level());
        findings.push(Finding { check: "clinics", good: true, says });
    }
    findings
}
