//! All SQL of the platform's desk.

use uuid::Uuid;

use super::model::{ClinicChange, ClinicStatus, ClinicView};
use crate::db::Tx;
use crate::ids::{AccountId, ClinicId};
use crate::tenancy::pools::Conn;

macro_rules! columns {
    ($before:literal, $size:literal, $after:literal) => {
        concat!(
            $before,
            " id, slug, name, status, time_zone, language, country, state, owner_id, schema_level, ",
            $size,
            " as size_bytes, last_error, created_at, updated_at, version ",
            $after
        )
    };
}

/// Clinics by slug; an owner sees his own alone.
pub async fn list(
    conn: &mut Conn,
    owner: Option<AccountId>,
    after: Option<String>,
    limit: i64,
) -> sqlx::Result<Vec<ClinicView>> {
    sqlx::query_as(columns!(
        "select",
        "null::bigint",
        "from clinics where slug > $1 and status <> 'deleting' and ($2::uuid is null or owner_id = $2)
         order by slug limit $3"
    ))
    .bind(after.unwrap_or_default())
    .bind(owner)
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn by_slug(conn: &mut Conn, slug: &str) -> sqlx::Result<Option<ClinicView>> {
    sqlx::query_as(columns!(
        "select",
        "(select pg_database_size(oid) from pg_database where datname = 'nadi_c_' || replace(clinics.id::text, '-', ''))",
        "from clinics where slug = $1 and status <> 'deleting'"
    ))
    .bind(slug)
    .fetch_optional(conn)
    .await
}

/// Under which lease a clinic is being made or unmade; `None` for one that stands.
#[derive(Debug, sqlx::FromRow)]
pub struct Holder {
    pub lease_token: Option<Uuid>,
}

/// Who holds a name.
pub async fn holder(conn: &mut Conn, slug: &str) -> sqlx::Result<Option<Holder>> {
    sqlx::query_as("select lease_token from clinics where slug = $1")
        .bind(slug)
        .fetch_optional(conn)
        .await
}

pub async fn lock(tx: &mut Tx, slug: &str) -> sqlx::Result<Option<ClinicView>> {
    sqlx::query_as(columns!(
        "select",
        "null::bigint",
        "from clinics where slug = $1 and status <> 'deleting' for update"
    ))
    .bind(slug)
    .fetch_optional(&mut **tx)
    .await
}

pub async fn set_status(
    tx: &mut Tx,
    id: ClinicId,
    status: ClinicStatus,
) -> sqlx::Result<ClinicView> {
    sqlx::query_as(columns!(
        "update clinics set status = $2, version = version + 1, updated_at = now() where id = $1 returning",
        "null::bigint",
        ""
    ))
    .bind(id)
    .bind(status.as_str())
    .fetch_one(&mut **tx)
    .await
}

pub async fn update(tx: &mut Tx, id: ClinicId, change: &ClinicChange) -> sqlx::Result<ClinicView> {
    sqlx::query_as(columns!(
        "update clinics set name = $2, time_zone = $3, language = $4, country = $5, state = $6,
                            version = version + 1, updated_at = now()
         where id = $1 returning",
        "null::bigint",
        ""
    ))
    .bind(id)
    .bind(&change.name)
    .bind(&change.time_zone)
    .bind(change.language.as_deref().unwrap_or("en"))
    .bind(change.country.as_deref().unwrap_or("IN"))
    .bind(&change.state)
    .fetch_one(&mut **tx)
    .await
}
