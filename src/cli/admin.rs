//! `nadi admin`

use std::io::Read;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::{Outcome, core, output};
use crate::app::Core;
use crate::audit::{self, Act, Actor};
use crate::auth::links::{self, Purpose};
use crate::auth::{Role, password, passwords, second_factor as second_factors, sessions};
use crate::db;
use crate::http::fields::{self, Fault};
use crate::ids::AccountId;
use crate::platform::accounts;
use crate::tenancy::notices::Notice;

#[derive(Subcommand)]
pub enum Admin {
    /// Make a super-admin
    ///
    /// Without --password-stdin it prints a link, good for three days, where a password is set.
    Create {
        /// The address to sign in with
        #[arg(long)]
        email: String,
        /// Full name
        #[arg(long, default_value = "Super admin")]
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List super-admins and clinic owners
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let somebody in who lost the password, or the second factor
    ///
    /// Every session of the account ends, and the old password is good for nothing. Without --password-stdin it prints a link, good
    /// for an hour, where another one is set.
    Reset {
        /// The address to sign in with
        email: String,
        /// Read the new password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Take the second factor away as well
        #[arg(long)]
        second_factor: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Admin {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        core.require_central_schema().await?;
        let url = &core.central.realm.url;
        let (email, link, json) = match self {
            Admin::List { json } => {
                list(&core, json).await?;
                return Ok(Outcome::Done);
            }
            Admin::Create { email, name, password_stdin, json } => {
                let link = create(&core, &email, &name, secret(password_stdin)?).await?;
                (email, link, json)
            }
            Admin::Reset { email, password_stdin, second_factor, json } => {
                let link = reset(&core, &email, secret(password_stdin)?, second_factor).await?;
                (email, link, json)
            }
        };
        if json {
            output::json(&json!({ "email": email, "url": url, "set_password_url": link }))?;
            return Ok(Outcome::Done);
        }
        match link {
            None => println!("{email} may sign in at {url}"),
            Some(link) => println!("{email} sets a password at {link}"),
        }
        Ok(Outcome::Done)
    }
}

/// A password from standard input, if it is to come from there.
fn secret(password_stdin: bool) -> anyhow::Result<Option<String>> {
    if !password_stdin {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn hashed(secret: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(text) = secret else { return Ok(None) };
    match password::new_password(text.into()) {
        Ok(text) => Ok(Some(password::hash_now(&text))),
        Err(Fault(_, words)) => bail!("password: {words}"),
    }
}

#[derive(Serialize, sqlx::FromRow)]
struct Listed {
    email: String,
    full_name: String,
    role: String,
    status: String,
    second_factor: bool,
    last_seen_at: Option<DateTime<Utc>>,
}

async fn list(core: &Core, json: bool) -> anyhow::Result<()> {
    let mut conn = core.central.realm.read().await?;
    let all: Vec<Listed> = sqlx::query_as(
        "select u.email, u.full_name, u.role, u.status, f.user_id is not null as second_factor,
                (select max(last_seen_at) from sessions s where s.user_id = u.id) as last_seen_at
         from users u left join second_factors f on f.user_id = u.id and f.confirmed_at is not null
         where u.deleted_at is null order by u.role desc, lower(u.email)",
    )
    .fetch_all(&mut conn)
    .await?;
    if json {
        return output::json(&all);
    }
    let rows: Vec<Vec<String>> = all
        .into_iter()
        .map(|one| {
            let seen = one.last_seen_at.map(|at| at.format("%Y-%m-%d %H:%M").to_string());
            let factor = if one.second_factor { "yes" } else { "no" };
            let seen = seen.unwrap_or_else(|| "never".into());
            vec![one.email, one.role, one.status, factor.into(), seen, one.full_name]
        })
        .collect();
    output::table(&["EMAIL", "ROLE", "STATUS", "2ND FACTOR", "LAST SEEN (UTC)", "NAME"], &rows);
    Ok(())
}

/// Ends an account's sessions, and sets its password or gives the link at which one is set.
async fn reset(
    core: &Core,
    email: &str,
    secret: Option<String>,
    second_factor: bool,
) -> anyhow::Result<Option<String>> {
    let hash = hashed(secret)?;
    let realm = &core.central.realm;
    let mut tx = realm.begin(Actor::platform()).await?;
    let found: Option<(AccountId, String)> = sqlx::query_as(
        "select id, status from users where lower(email) = lower($1) and deleted_at is null for no key update",
    )
    .bind(email)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((account, status)) = found else {
        bail!("nobody here has the address {email}; `nadi admin list` tells who there is")
    };
    if status != "active" {
        bail!("the account of {email} is {status}; make it active first");
    }
    let factor_removed = second_factor && second_factors::forget(&mut tx, account).await?.is_some();
    links::end(&mut *tx, account).await?;
    let link = match hash {
        Some(hash) => {
            passwords::set(&mut tx, account, &hash).await?;
            None
        }
        None => {
            // Whoever knows the old one may be why; and the second factor may be gone now.
            sqlx::query("update users set password_hash = null where id = $1")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            let purpose = Purpose::ResetPassword;
            let token = links::put_for(&mut tx, Some(account), purpose, Some(email)).await?;
            Some(links::url_for(&realm.url, purpose, &token))
        }
    };
    let ended = sessions::end_all(&mut tx, account, "reset_by_operator").await?;
    let action =
        if link.is_some() { "account.password_link_made" } else { "account.password_reset" };
    let details = json!({ "sessions": ended, "second_factor_removed": factor_removed });
    audit::record(&mut tx, Act::new(action, "account", account).details(details)).await?;
    Notice::Sessions(realm.id).announce(&mut *tx).await?;
    tx.commit().await?;
    Ok(link)
}

/// Makes a super-admin with a password, or gives the link at which one is set.
pub async fn create(
    core: &Core,
    email: &str,
    name: &str,
    secret: Option<String>,
) -> anyhow::Result<Option<String>> {
    let words = |option: &str, Fault(_, words): Fault| anyhow::anyhow!("{option}: {words}");
    let email = fields::email(email.into()).map_err(|fault| words("--email", fault))?;
    let name = fields::line(1, 200)(name.into()).map_err(|fault| words("--name", fault))?;
    let hash = hashed(secret)?;
    let realm = &core.central.realm;
    let mut tx = realm.begin(Actor::platform()).await?;
    let account = match accounts::create(&mut tx, Role::SuperAdmin, &name, &email, None).await {
        Err(error) if db::violated(&error) == Some("users_staff_email_key") => {
            bail!("--email: {email} has an account already")
        }
        other => other?,
    };
    let link = match hash {
        Some(hash) => {
            passwords::set(&mut tx, account.id, &hash).await?;
            None
        }
        None => Some(links::url(&realm.url, &links::put(&mut *tx, account.id).await?)),
    };
    tx.commit().await?;
    Ok(link)
}
