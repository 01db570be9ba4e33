//! `nadi admin`

use std::io::Read;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::{Outcome, core, output};
use crate::app::Core;
use crate::audit::Actor;
use crate::auth::{Role, links, password};
use crate::db;
use crate::http::fields::{self, Fault};
use crate::platform::accounts;

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
}

impl Admin {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let Admin::Create { email, name, password_stdin, json } = self;
        let core = core()?;
        core.require_central_schema().await?;
        let secret = match password_stdin {
            false => None,
            true => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        let link = create(&core, &email, &name, secret).await?;
        let url = &core.central.realm.url;
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
    let hash = match secret {
        None => None,
        Some(text) => {
            let text =
                password::new_password(text.into()).map_err(|fault| words("password", fault))?;
            Some(password::hash_now(&text))
        }
    };
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
            sqlx::query("update users set password_hash = $2 where id = $1")
                .bind(account.id)
                .bind(hash)
                .execute(&mut *tx)
                .await?;
            None
        }
        None => Some(links::url(&realm.url, &links::put(&mut *tx, account.id).await?)),
    };
    tx.commit().await?;
    Ok(link)
}
