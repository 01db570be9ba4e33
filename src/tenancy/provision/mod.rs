//! Making a clinic: all of it in the end, or nothing, whatever dies when. The slug is reserved in a committed row with a
//! lease before the first step; each step can be repeated; whoever finds a lapsed lease undoes what is there.

mod template;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgConnection;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::central::Central;
use super::notices::{Notice, Notices};
use super::pools::Conn;
use super::{migrate, roles};
use crate::audit::{self, Act, Actor};
use crate::auth::links;
use crate::crypto::{ClinicKeys, RootKey};
use crate::db::{self, Opening, Tx};
use crate::error::Problem;
use crate::ids::{self, AccountId, ClinicId, LocationId, ServerId};
use crate::outbox;

/// How long nothing may be heard of a provisioning before another instance may undo it. It takes well under a second.
const LEASE: Duration = Duration::from_secs(60);
/// How often a connection is waited for once more, two seconds each.
const PATIENCE: u32 = 5;

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct NewClinic {
    pub slug: String,
    pub name: String,
    pub time_zone: String,
    pub language: String,
    pub country: String,
    pub state: Option<String>,
    pub admin: NewAdmin,
    pub owner: Option<AccountId>,
}

/// The first person who may sign in there.
#[derive(Clone, Debug)]
pub struct NewAdmin {
    pub full_name: String,
    pub email: String,
    pub phone: Option<String>,
}

/// A clinic that has just been made.
pub struct Provisioned {
    pub id: ClinicId,
    pub admin: AccountId,
    /// The link's token, with which the first admin sets a password.
    pub password_token: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("there is a clinic of this name already")]
    SlugTaken,
    #[error("the clinic could not be made: {0}")]
    Failed(String),
    /// By whoever had more to do in the transaction that opens it.
    #[error("the clinic was not opened: {}", .0.detail)]
    Refused(Problem),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

impl From<ProvisionError> for Problem {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::SlugTaken => Problem::conflict("slug-taken", error.to_string()),
            ProvisionError::Failed(why) => {
                tracing::error!(%why, "provisioning failed");
                Problem::unavailable(
                    "provisioning-failed",
                    "the clinic could not be made; nothing was left behind",
                )
            }
            ProvisionError::Refused(problem) => problem,
            ProvisionError::Db(error) => error.into(),
        }
    }
}

/// Makes and unmakes clinics on the home server.
pub struct Provisioner {
    central: Arc<Central>,
    notices: Notices,
    template: OnceCell<String>,
    /// One clinic is made at a time: databases are not made faster side by side, and central's few connections are needed by
    /// those who sign in meanwhile.
    turn: Semaphore,
}

impl Provisioner {
    pub fn new(central: Arc<Central>, notices: Notices) -> Self {
        Self { central, notices, template: OnceCell::new(), turn: Semaphore::new(1) }
    }

    /// Makes a clinic, ready to answer when this returns.
    ///
    /// # Errors
    /// `SlugTaken`, or what failed: nothing of the clinic is left then, or nothing will be once its lease has lapsed.
    pub async fn provision(
        &self,
        new: &NewClinic,
        by: Actor,
    ) -> Result<Provisioned, ProvisionError> {
        self.provision_and(new, by, ids::new_uuid(), async |tx: Tx, made| {
            tx.commit().await?;
            Ok(made)
        })
        .await
    }

    /// As [`Provisioner::provision`]; `finish` commits the transaction that opens the clinic, and may first add to it.
    ///
    /// The name is held under `lease` meanwhile. It may be the same for several attempts: each has a clinic id of its own.
    pub async fn provision_and<T>(
        &self,
        new: &NewClinic,
        by: Actor,
        lease: Uuid,
        finish: impl AsyncFnOnce(Tx, Provisioned) -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        let _turn = self.turn.acquire().await.expect("never closed"); // before the lease begins to run
        let template = self.template().await?; // nor while the first of them is made
        let id = ClinicId::new();
        let root = RootKey::generate();
        self.reserve(id, new, &root, lease).await?;
        let made = async {
            let keys = ClinicKeys::derive(&root);
            let made = tokio::select! {
                made = self.build(id, new, &keys, &template) => made?,
                never = self.keep(id, lease) => match never {},
            };
            let tx = self.open(&made, new, lease, by).await?;
            finish(tx, made).await
        };
        match made.await {
            Ok(made) => {
                self.notices.apply(&Notice::Clinic(new.slug.clone()));
                Ok(made)
            }
            Err(error) => {
                tracing::error!(%error, slug = new.slug, "provisioning failed; undoing it");
                if let Err(error) = self.undo(id, lease).await {
                    tracing::error!(%error, slug = new.slug, "undoing failed too; it is tried again when the lease lapses");
                }
                Err(error)
            }
        }
    }

    /// Takes the name, in a transaction of its own: from here on the work is on record.
    async fn reserve(
        &self,
        id: ClinicId,
        new: &NewClinic,
        root: &RootKey,
        lease: Uuid,
    ) -> Result<(), ProvisionError> {
        let mut conn = self.conn().await?;
        let inserted = sqlx::query(
            "insert into clinics (id, slug, name, time_zone, language, country, state, status, server_id,
                                  root_key_wrapped, owner_id, lease_token, leased_until)
             values ($1, $2, $3, $4, $5, $6, $7, 'provisioning', $8, $9, $10, $11, now() + $12)",
        )
        .bind(id)
        .bind(&new.slug)
        .bind(&new.name)
        .bind(&new.time_zone)
        .bind(&new.language)
        .bind(&new.country)
        .bind(&new.state)
        .bind(home_server())
        .bind(self.central.master.wrap(id.0, root))
        .bind(new.owner)
        .bind(lease)
        .bind(LEASE)
        .execute(&mut conn)
        .await;
        match inserted {
            Err(error) if db::violated(&error) == Some("clinics_slug_key") => {
                Err(ProvisionError::SlugTaken)
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Database, role and rights, first admin. What makes it slow is what PostgreSQL waits for the disk for, so there are as few
    /// transactions as may be, and what is computed is computed meanwhile.
    async fn build(
        &self,
        id: ClinicId,
        new: &NewClinic,
        keys: &ClinicKeys,
        template: &str,
    ) -> Result<Provisioned, ProvisionError> {
        let password = keys.database_password();
        let verifier = tokio::task::spawn_blocking(move || roles::scram_verifier(&password));
        let mut conn = self.conn().await?;
        roles::clone_database(&mut conn, id, template).await?;
        let verifier = verifier.await.map_err(|e| ProvisionError::Failed(e.to_string()))?;
        roles::open_database(&mut conn, id, &verifier).await?;
        drop(conn); // nobody waits for one connection while holding another
        let database = roles::database_name(id);
        let owner_pool = self.central.as_owner(&database);
        let mut conn =
            owner_pool.acquire().await.map_err(|e| ProvisionError::Failed(e.to_string()))?;
        let now = self.central.realm.clock.now();
        let made = found(conn.raw(), id, new, keys, now).await;
        drop(conn);
        owner_pool.close();
        made
    }

    /// Keeps the lease for as long as the work takes. Once it is lost there is nothing to keep; whoever opens the clinic finds
    /// out.
    async fn keep(&self, id: ClinicId, lease: Uuid) -> Infallible {
        loop {
            tokio::time::sleep(LEASE / 4).await;
            if let Err(error) = self.renew(id, lease).await {
                tracing::warn!(%error, clinic_id = %id, "cannot renew the lease of a clinic in the making");
            }
        }
    }

    async fn renew(&self, id: ClinicId, lease: Uuid) -> Result<(), ProvisionError> {
        sqlx::query(
            "update clinics set leased_until = now() + $3 where id = $1 and lease_token = $2",
        )
        .bind(id)
        .bind(lease)
        .bind(LEASE)
        .execute(&mut self.conn().await?)
        .await?;
        Ok(())
    }

    /// Once this transaction has committed, it is open.
    async fn open(
        &self,
        made: &Provisioned,
        new: &NewClinic,
        lease: Uuid,
        by: Actor,
    ) -> Result<Tx, ProvisionError> {
        let mut tx = self.begin(by).await?;
        let activated = sqlx::query(
            "with opened as (
               update clinics set status = 'active', lease_token = null, leased_until = null,
                                  schema_level = $3, updated_at = now()
               where id = $1 and lease_token = $2 returning id)
             insert into wakeups as w (clinic_id, due_at, hints) select id, now(), 1 from opened
             on conflict (clinic_id) do update set due_at = now(), hints = w.hints + 1",
        )
        .bind(made.id)
        .bind(lease)
        .bind(migrate::tenant_level())
        .execute(&mut *tx)
        .await?;
        if activated.rows_affected() == 0 {
            return Err(ProvisionError::Failed("its lease lapsed before it was ready".into()));
        }
        let act = Act::new("clinic.created", "clinic", made.id)
            .about(made.id)
            .details(json!({ "slug": new.slug, "name": new.name }));
        audit::record(&mut tx, act).await?;
        Notice::Clinic(new.slug.clone()).announce(&mut *tx).await?;
        Ok(tx)
    }

    /// Removes all traces of an unfinished clinic. The row goes last: while it stands, the work is on record.
    async fn undo(&self, id: ClinicId, lease: Uuid) -> Result<(), ProvisionError> {
        let mut conn = self.conn().await?;
        let ours = sqlx::query(
            "update clinics set status = 'deleting', leased_until = now() + $3 where id = $1 and lease_token = $2",
        )
        .bind(id)
        .bind(lease)
        .bind(LEASE)
        .execute(&mut conn)
        .await?;
        if ours.rows_affected() == 0 && is_open(&mut conn, id).await? {
            return Ok(()); // it was opened after all: the answer was late
        }
        // Also where somebody else has taken it over: he may have been here before what is here now was made.
        roles::drop_database_and_role(conn.raw(), id).await?;
        drop(conn);
        let mut tx = self.begin(Actor::platform()).await?;
        let slug: Option<String> = sqlx::query_scalar(
            "delete from clinics where id = $1 and lease_token = $2 returning slug",
        )
        .bind(id)
        .bind(lease)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(slug) = slug else { return Ok(()) }; // somebody else has done it
        let notice = Notice::Clinic(slug);
        notice.announce(&mut *tx).await?;
        tx.commit().await?;
        self.notices.apply(&notice);
        Ok(())
    }

    /// Undoes what died on its way: takes over each lapsed lease. Returns how many.
    pub async fn undo_lapsed(&self) -> Result<usize, ProvisionError> {
        let mut undone = 0;
        loop {
            let lease = ids::new_uuid();
            let mut conn = self.conn().await?;
            let lapsed: Option<(ClinicId, String)> = sqlx::query_as(
                "update clinics set lease_token = $1, leased_until = now() + $2
                 where id = (select id from clinics
                             where leased_until < now() and status in ('provisioning', 'deleting')
                             limit 1 for update skip locked)
                 returning id, slug",
            )
            .bind(lease)
            .bind(LEASE)
            .fetch_optional(&mut conn)
            .await?;
            drop(conn);
            let Some((id, slug)) = lapsed else { return Ok(undone) };
            tracing::warn!(%slug, "undoing a clinic whose making broke off");
            self.undo(id, lease).await?;
            undone += 1;
        }
    }

    /// Looks for lapsed leases until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut pace = tokio::time::interval(Duration::from_secs(20));
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            if let Err(error) = self.undo_lapsed().await {
                tracing::warn!(%error, "cannot look for unfinished clinics");
            }
        }
    }

    /// A connection for lone statements that write. Half-made work is worth more patience than a request has.
    async fn conn(&self) -> Result<Conn, ProvisionError> {
        let mut tries = 0;
        let conn = loop {
            match self.central.realm.read().await {
                Err(problem) if problem.name == "busy" && tries < PATIENCE => tries += 1,
                other => break other,
            }
        };
        let mut conn = conn.map_err(|problem| ProvisionError::Failed(problem.detail))?;
        conn.never_repeat();
        Ok(conn)
    }

    async fn begin(&self, by: Actor) -> Result<Tx, ProvisionError> {
        let realm = &self.central.realm;
        let (chain, now) = (realm.chain.clone(), realm.clock.now());
        Ok(Tx::begin(self.conn().await?, by, chain, Opening::default(), now).await?)
    }
}

async fn is_open(conn: &mut Conn, id: ClinicId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from clinics where id = $1 and status not in ('provisioning', 'deleting'))",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// The server that the central database lives on. (Placing clinics on others comes with their registration.)
fn home_server() -> ServerId {
    ServerId(Uuid::from_u128(0x01900000_0000_7000_8000_000000000001))
}

/// What a new clinic begins with: its identity, its first admin with a link to set a password, and one location.
async fn found(
    connection: &mut PgConnection,
    id: ClinicId,
    new: &NewClinic,
    keys: &ClinicKeys,
    now: DateTime<Utc>,
) -> Result<Provisioned, ProvisionError> {
    use sqlx::Connection;
    let mut tx = connection.begin().await?;
    roles::execute(&mut *tx, roles::search_threshold(id)).await?;
    sqlx::query(
        "update clinic_identity set clinic_id = $1 where clinic_id is null or clinic_id = $1",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    let admin = AccountId::new();
    sqlx::query(
        "insert into users (id, role, full_name, email, phone) values ($1, 'clinic_admin', $2, $3, $4)",
    )
    .bind(admin)
    .bind(&new.admin.full_name)
    .bind(&new.admin.email)
    .bind(&new.admin.phone)
    .execute(&mut *tx)
    .await?;
    let location = LocationId::new();
    sqlx::query("insert into locations (id, name, time_zone) values ($1, $2, $3)")
        .bind(location)
        .bind(&new.name)
        .bind(&new.time_zone)
        .execute(&mut *tx)
        .await?;
    let act = Act::new("account.created", "account", admin);
    let act = act.details(json!({ "role": "clinic_admin" }));
    audit::record_as(&mut *tx, Actor::platform(), act).await?;
    let act = Act::new("location.created", "location", location);
    audit::record_as(&mut *tx, Actor::platform(), act).await?;
    let token = links::put(&mut *tx, admin).await?;
    // No gate, no hint: nobody works here yet, and the clinic is hinted when it opens.
    outbox::put(&mut *tx, &links::invitation(keys, admin, &token, now)).await?;
    tx.commit().await?;
    Ok(Provisioned { id, admin, password_token: token })
}
