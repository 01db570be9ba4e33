//! The database that clinics' databases are copied from: made once for each level of the schema, and open to nobody.

use sqlx::postgres::PgConnection;

use super::{ProvisionError, Provisioner};
use crate::tenancy::{migrate, roles};

impl Provisioner {
    /// The template of this binary's level, made by whoever needs it first. It appears under its name only when complete.
    pub async fn template(&self) -> Result<String, ProvisionError> {
        self.template.get_or_try_init(|| self.ensure_template()).await.cloned()
    }

    async fn ensure_template(&self) -> Result<String, ProvisionError> {
        let name = migrate::template_name();
        let pool = self.central.directly(); // a session's lock: it is no use behind a pooler
        let mut conn = pool.acquire().await.map_err(failed)?;
        let raw = conn.raw();
        roles::ensure_group(raw).await?;
        sqlx::query("select pg_advisory_lock(1851876457, 2)").execute(&mut *raw).await?;
        if !exists(raw, &name).await? {
            self.make_template(raw, &name).await?;
        }
        // The lock ends with the connection, which `raw` has made unfit for the pool.
        Ok(name)
    }

    async fn make_template(
        &self,
        raw: &mut PgConnection,
        name: &str,
    ) -> Result<(), ProvisionError> {
        // Of this platform, and so guarded by its lock: what is there is left of a process that was killed.
        let platform: String = sqlx::query_scalar(
            "select oid::text from pg_database where datname = current_database()",
        )
        .fetch_one(&mut *raw)
        .await?;
        let draft = format!("{name}_{platform}");
        remove(raw, &draft).await?;
        roles::execute(
            &mut *raw,
            format!("create database {draft} template template0 encoding 'UTF8' locale 'C.UTF-8'"),
        )
        .await?;
        roles::close_to_public(raw, &draft).await?;
        let pool = self.central.as_owner(&draft);
        let migrated = async {
            let mut conn = pool.acquire().await.map_err(failed)?;
            migrate::tenant(conn.raw()).await.map_err(failed)
        }
        .await;
        pool.close();
        if let Err(error) = migrated {
            remove(raw, &draft).await?;
            return Err(error);
        }
        roles::execute(
            &mut *raw,
            format!("alter database {draft} with allow_connections false is_template true"),
        )
        .await?;
        match roles::execute(&mut *raw, format!("alter database {draft} rename to {name}")).await {
            // Another platform on this server made it first: the same migrations made the same template.
            Err(error) if roles::is_duplicate(&error) => Ok(remove(raw, &draft).await?),
            renamed => Ok(renamed?),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> ProvisionError {
    ProvisionError::Failed(error.to_string())
}

async fn exists(raw: &mut PgConnection, database: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists(select from pg_database where datname = $1)")
        .bind(database)
        .fetch_one(raw)
        .await
}

async fn remove(raw: &mut PgConnection, draft: &str) -> sqlx::Result<()> {
    if !exists(raw, draft).await? {
        return Ok(());
    }
    roles::execute(&mut *raw, format!("alter database {draft} with is_template false")).await?;
    roles::execute(raw, format!("drop database {draft} with (force)")).await
}
