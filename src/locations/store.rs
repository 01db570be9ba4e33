//! All SQL of locations.

use chrono::{DateTime, Utc};

use super::model::{LocationRequest, LocationView};
use crate::db::Tx;
use crate::ids::LocationId;
use crate::tenancy::pools::Conn;

/// The columns of a view, read or given back by a change.
macro_rules! view {
    (columns) => {
        "id, name, address, phone, time_zone, created_at, updated_at, version"
    };
    (select $rest:literal) => {
        concat!("select ", view!(columns), " ", $rest)
    };
    ($change:literal returning) => {
        concat!($change, " returning ", view!(columns))
    };
}

pub async fn list(
    conn: &mut Conn,
    after: Option<LocationId>,
    limit: i64,
) -> sqlx::Result<Vec<LocationView>> {
    sqlx::query_as(view!(select
        "from locations where deleted_at is null and id > $1 order by id limit $2"
    ))
    .bind(after.map_or(uuid::Uuid::nil(), |id| id.0))
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn by_id(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<LocationView>> {
    sqlx::query_as(view!(select "from locations where deleted_at is null and id = $1"))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// As [`by_id`], and nobody else changes it, books there or sets hours there until this transaction ends.
pub async fn lock(tx: &mut Tx, id: LocationId) -> sqlx::Result<Option<LocationView>> {
    sqlx::query_as(view!(select "from locations where deleted_at is null and id = $1 for update"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

pub async fn insert(
    tx: &mut Tx,
    id: LocationId,
    new: &LocationRequest,
    time_zone: &str,
) -> sqlx::Result<LocationView> {
    sqlx::query_as(view!(
        "insert into locations (id, name, address, phone, time_zone) values ($1, $2, $3, $4, $5)"
        returning
    ))
    .bind(id)
    .bind(&new.name)
    .bind(new.address.as_deref().unwrap_or_default())
    .bind(&new.phone)
    .bind(time_zone)
    .fetch_one(&mut **tx)
    .await
}

pub async fn update(
    tx: &mut Tx,
    id: LocationId,
    new: &LocationRequest,
    time_zone: &str,
) -> sqlx::Result<LocationView> {
    sqlx::query_as(view!(
        "update locations set name = $2, address = $3, phone = $4, time_zone = $5, version = version + 1,
                              updated_at = now()
         where id = $1"
        returning
    ))
    .bind(id)
    .bind(&new.name)
    .bind(new.address.as_deref().unwrap_or_default())
    .bind(&new.phone)
    .bind(time_zone)
    .fetch_one(&mut **tx)
    .await
}

/// Soft: past visits took place there.
pub async fn delete(tx: &mut Tx, id: LocationId) -> sqlx::Result<()> {
    sqlx::query(
        "update locations set deleted_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// True while some doctor sits there, or will, a room or the like is there, or a visit there is still to come.
pub async fn is_in_use(tx: &mut Tx, id: LocationId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from availability h join locations l on l.id = h.location_id
                       join doctors d on d.id = h.doctor_id and d.deleted_at is null
                       where h.location_id = $1
                         and (h.valid_to is null or h.valid_to > ($2 at time zone l.time_zone)::date))
             or exists(select from extra_hours e join locations l on l.id = e.location_id
                       join doctors d on d.id = e.doctor_id and d.deleted_at is null
                       where e.location_id = $1 and e.day >= ($2 at time zone l.time_zone)::date)
             or exists(select from resources where location_id = $1 and deleted_at is null)
             or exists(select from appointments where location_id = $1 and upper(during) > $2
                       and status in ('booked', 'confirmed', 'checked_in', 'in_consultation'))",
    )
    .bind(id)
    .bind(now)
    .fetch_one(&mut **tx)
    .await
}
