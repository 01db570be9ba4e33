//! The database that clinics' databases are copied from: made once for each level of the schema, and open to nobody.

use sqlx::postgres::PgConnection;

use super::{ProvisionError, Provisioner};
use crate::ids;
use crate::tenancy::{migrate, roles};

impl Provisioner {
    /// The template of this binary's level, made by whoever needs it first. It appears under its name only when complete.
    pub async fn template(&self) -> Result<String, ProvisionError> {
        self.template.get_or_try_init(|| self.ensure_template()).await.cloned()
    }

    async fn ensure_template(&self) -> Result<String, ProvisionError> {
        let name = migrate::template_name();
        let mut conn = self.conn().await?;
        let raw = conn.raw();
        roles::ensure_group(raw).await?;
        sqlx::query("select pg_advisory_lock(1851876457, 2)").execute(&mut *raw).await?;
        let exists: bool =
            sqlx::query_scalar("select exists(select from pg_database where datname = $1)")
                .bind(&name)
                .fetch_one(&mut *raw)
                .await?;
        if !exists {
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
        let draft = format!("{name}_{}", &ids::new_uuid().simple().to_string()[20..]);
        roles::execute(
            &mut *raw,
            format!("create database {draft} template template0 encoding 'UTF8' locale 'C.UTF-8'"),
        )
        .await?;
        roles::close_to_public(raw, &draft).await?;
        let pool = self.central.as_owner(&draft);
        let migrated = async {
            let mut conn =
                pool.acquire().await.map_err(|e| ProvisionError::Failed(e.to_string()))?;
            migrate::tenant(conn.raw()).await.map_err(|e| ProvisionError::Failed(e.to_string()))?;
            drop(conn);
            Ok(())
        }
        .await;
        pool.close();
        if let Err(error) = migrated {
            roles::execute(&mut *raw, format!("drop database if exists {draft} with (force)"))
                .await?;
            return Err(error);
        }
        roles::execute(
            &mut *raw,
            format!("alter database {draft} with allow_connections false is_template true"),
        )
        .await?;
        match roles::execute(&mut *raw, format!("alter database {draft} rename to {name}")).await {
            // Another platform on this server made it first: the same migrations made the same template.
            Err(error) if roles::is_duplicate(&error) => {
                let unmark = format!("alter database {draft} with is_template false");
                roles::execute(&mut *raw, unmark).await?;
                Ok(roles::execute(raw, format!("drop database {draft}")).await?)
            }
            renamed => Ok(renamed?),
        }
    }
}
