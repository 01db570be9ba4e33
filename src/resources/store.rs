//! All SQL of resources. A therapist's name, and whether somebody may be booked, are the account's.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{ListResources, ResourceKind, ResourceRequest, ResourceView};
use crate::db::Tx;
use crate::ids::{AccountId, LocationId, ResourceId};
use crate::tenancy::pools::Conn;

macro_rules! view {
    ($rest:literal) => {
        concat!(
            "select r.id, r.kind, coalesce(r.name, u.full_name) as name, r.location_id, r.user_id, r.capacity,
                    r.user_id is null or u.role = 'therapist' and u.status = 'active' and u.deleted_at is null as active,
                    r.created_at, r.updated_at, r.version
             from resources r left join users u on u.id = r.user_id
             where r.deleted_at is null ",
            $rest
        )
    };
}

pub async fn list(
    conn: &mut Conn,
    asked: &ListResources,
    after: Option<ResourceId>,
    limit: i64,
) -> sqlx::Result<Vec<ResourceView>> {
    sqlx::query_as(view!(
        "and r.id > $1 and ($2::text is null or r.kind = $2)
         and ($3::uuid is null or r.location_id is null or r.location_id = $3)
         order by r.id limit $4"
    ))
    .bind(after.map_or(Uuid::nil(), |id| id.0))
    .bind(asked.kind.map(ResourceKind::as_str))
    .bind(asked.location_id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn by_id(conn: &mut Conn, id: ResourceId) -> sqlx::Result<Option<ResourceView>> {
    sqlx::query_as(view!("and r.id = $1")).bind(id).fetch_optional(conn).await
}

/// As [`by_id`], and nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut Tx, id: ResourceId) -> sqlx::Result<Option<ResourceView>> {
    sqlx::query_as(view!("and r.id = $1 for update of r")).bind(id).fetch_optional(&mut **tx).await
}

/// Adds one; a therapist who was removed comes back. False when this therapist is here already.
pub async fn insert(tx: &mut Tx, id: ResourceId, new: &ResourceRequest) -> sqlx::Result<bool> {
    let inserted = sqlx::query(
        "insert into resources as r (id, kind, name, location_id, user_id, capacity) values ($1, $2, $3, $4, $5, $6)
         on conflict (id) do update set location_id = excluded.location_id, capacity = excluded.capacity, deleted_at = null,
                                        version = r.version + 1, updated_at = now()
           where r.deleted_at is not null",
    )
    .bind(id)
    .bind(new.kind.as_str())
    .bind(new.own_name())
    .bind(new.location_id)
    .bind(new.user_id)
    .bind(new.capacity())
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

pub async fn update(tx: &mut Tx, id: ResourceId, new: &ResourceRequest) -> sqlx::Result<()> {
    sqlx::query(
        "update resources set name = $2, location_id = $3, capacity = $4, version = version + 1, updated_at = now()
         where id = $1",
    )
    .bind(id)
    .bind(new.own_name())
    .bind(new.location_id)
    .bind(new.capacity())
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Soft: past visits took it.
pub async fn delete(tx: &mut Tx, id: ResourceId) -> sqlx::Result<()> {
    sqlx::query(
        "update resources set deleted_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether there is this location. It is not closed until this transaction ends.
pub async fn is_place(tx: &mut Tx, id: LocationId) -> sqlx::Result<bool> {
    let found =
        sqlx::query("select from locations where id = $1 and deleted_at is null for key share")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(found.is_some())
}

/// Whether somebody works here as a therapist.
pub async fn is_therapist(tx: &mut Tx, id: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from users where id = $1 and role = 'therapist' and deleted_at is null)",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await
}

/// Whether a visit or a hold has claimed it for a time still to come. The transaction holds its lock.
pub async fn is_in_use(tx: &mut Tx, id: ResourceId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from claims where subject_id = $1 and during && tstzrange($2, null)
                       and (hold_until is null or hold_until > $2))",
    )
    .bind(id)
    .bind(now)
    .fetch_one(&mut **tx)
    .await
}
