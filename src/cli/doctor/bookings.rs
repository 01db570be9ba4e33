//! Whether anything is booked twice, at every clinic.

use futures_util::StreamExt;
use futures_util::stream;
use sqlx::{ConnectOptions, Connection};

use super::Finding;
use crate::app::Core;
use crate::appointments::verify::{Fault, verify};
use crate::tenancy::fleet::{self, Member};
use crate::tenancy::{migrate, roles};

const CHECK: &str = "bookings";

/// How many clinics are looked at at once.
const AT_ONCE: usize = 4;

/// One finding for each clinic that has something, and one for all that are good.
pub async fn of_clinics(core: &Core, only: &[String]) -> Vec<Finding> {
    let bad = |says: String| Finding { check: CHECK, good: false, says };
    let members = match fleet::members(&core.central, only).await {
        Ok(members) => members,
        Err(error) => return vec![bad(error.to_string())],
    };
    let mut findings = Vec::new();
    let mut looked = stream::iter(&members)
        .map(|member| async move { (member, look(core, member).await) })
        .buffered(AT_ONCE);
    let mut good = 0;
    while let Some((member, faults)) = looked.next().await {
        let slug = &member.slug;
        match faults {
            Ok(faults) if faults.is_empty() => good += 1,
            Ok(faults) => {
                let named: Vec<String> = faults.iter().map(Fault::to_string).collect();
                findings.push(bad(format!("{slug}: {}", named.join("; "))));
            }
            Err(error) => findings.push(bad(format!("{slug}: {error}"))),
        }
    }
    if good > 0 {
        let says = format!("nothing is booked twice at {good} clinics");
        findings.push(Finding { check: CHECK, good: true, says });
    }
    findings
}

async fn look(core: &Core, member: &Member) -> anyhow::Result<Vec<Fault>> {
    let connect = core.central.home.clone().database(&roles::database_name(member.id));
    let mut conn = connect.connect().await?;
    // A book may be thick, and nothing is changed.
    sqlx::raw_sql("set statement_timeout = 0; set default_transaction_read_only = on")
        .execute(&mut conn)
        .await?;
    let level: i32 =
        sqlx::query_scalar("select schema_level from clinic_identity").fetch_one(&mut conn).await?;
    anyhow::ensure!(
        level >= migrate::MIN_LEVEL,
        "at level {level}, which this binary does not read: run `nadi migrate clinics`"
    );
    let faults = verify(&mut conn).await?;
    conn.close().await?;
    Ok(faults)
}
