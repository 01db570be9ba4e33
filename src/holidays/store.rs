//! All SQL of holidays.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::model::{HolidayRequest, HolidayView, ListHolidays};
use crate::db::Tx;
use crate::ids::{HolidayId, LocationId};
use crate::staff::{Affected, MOST_SHOWN};
use crate::tenancy::pools::Conn;

/// The columns of a view, read or given back by a change.
macro_rules! view {
    (columns) => {
        "id, location_id, first_day, last_day, name, created_at, updated_at, version"
    };
    (select $rest:literal) => {
        concat!("select ", view!(columns), " ", $rest)
    };
    ($change:literal returning) => {
        concat!($change, " returning ", view!(columns))
    };
}

/// By the first day.
pub async fn list(
    conn: &mut Conn,
    asked: &ListHolidays,
    after: Option<(NaiveDate, HolidayId)>,
    limit: i64,
) -> sqlx::Result<Vec<HolidayView>> {
    let (day, id) = after.unzip();
    sqlx::query_as(view!(select
        "from holidays
         where ($1::date is null or last_day >= $1) and ($2::date is null or first_day < $2)
           and ($3::uuid is null or location_id is null or location_id = $3)
           and ($4::date is null or (first_day, id) > ($4, $5))
         order by first_day, id limit $6"
    ))
    .bind(asked.from)
    .bind(asked.to)
    .bind(asked.location_id)
    .bind(day)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn by_id(conn: &mut Conn, id: HolidayId) -> sqlx::Result<Option<HolidayView>> {
    sqlx::query_as(view!(select "from holidays where id = $1")).bind(id).fetch_optional(conn).await
}

/// As [`by_id`], and nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut Tx, id: HolidayId) -> sqlx::Result<Option<HolidayView>> {
    sqlx::query_as(view!(select "from holidays where id = $1 for update"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

pub async fn insert(tx: &mut Tx, new: &HolidayRequest) -> sqlx::Result<HolidayView> {
    sqlx::query_as(view!(
        "insert into holidays (id, location_id, first_day, last_day, name) values ($1, $2, $3, $4, $5)"
        returning
    ))
    .bind(HolidayId::new())
    .bind(new.location_id)
    .bind(new.first_day)
    .bind(new.last_day())
    .bind(&new.name)
    .fetch_one(&mut **tx)
    .await
}

pub async fn update(tx: &mut Tx, id: HolidayId, new: &HolidayRequest) -> sqlx::Result<HolidayView> {
    sqlx::query_as(view!(
        "update holidays set location_id = $2, first_day = $3, last_day = $4, name = $5, version = version + 1,
                             updated_at = now()
         where id = $1"
        returning
    ))
    .bind(id)
    .bind(new.location_id)
    .bind(new.first_day)
    .bind(new.last_day())
    .bind(&new.name)
    .fetch_one(&mut **tx)
    .await
}

/// For good: the audit log keeps what it was.
pub async fn delete(tx: &mut Tx, id: HolidayId) -> sqlx::Result<()> {
    sqlx::query("delete from holidays where id = $1").bind(id).execute(&mut **tx).await.map(drop)
}

/// The location, or all of them, each with its time zone. None of these is closed until this transaction ends.
pub async fn places(
    tx: &mut Tx,
    only: Option<LocationId>,
) -> sqlx::Result<Vec<(LocationId, String)>> {
    sqlx::query_as(
        "select id, time_zone from locations where deleted_at is null and ($1::uuid is null or id = $1)
         order by id for key share",
    )
    .bind(only)
    .fetch_all(&mut **tx)
    .await
}

/// Everybody who may be booked: with their locks no visit slips in while days are closed.
pub async fn doctors(conn: &mut Conn) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar("select id from doctors where deleted_at is null").fetch_all(conn).await
}

/// The visits that stand at these places, each within its own span.
pub async fn bookings(
    tx: &mut Tx,
    places: &[(LocationId, DateTime<Utc>, DateTime<Utc>)],
) -> sqlx::Result<Affected> {
    let rows = sqlx::query(
        "select a.id, a.number, a.patient_id, p.full_name as patient_name, lower(a.during) as starts_at,
                upper(a.during) as ends_at, count(*) over () as total
         from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as s (location_id, starts_at, ends_at)
              join appointments a on a.location_id = s.location_id
                and lower(a.during) < s.ends_at and lower(a.during) > s.starts_at - interval '8 hours' -- no visit is longer
                and upper(a.during) > s.starts_at
              join patients p on p.id = a.patient_id
         where a.status in ('booked', 'confirmed', 'checked_in', 'in_consultation')
         order by lower(a.during), a.id limit $4",
    )
    .bind(places.iter().map(|(id, ..)| id.0).collect::<Vec<Uuid>>())
    .bind(places.iter().map(|(_, from, _)| *from).collect::<Vec<_>>())
    .bind(places.iter().map(|(.., to)| *to).collect::<Vec<_>>())
    .bind(MOST_SHOWN)
    .fetch_all(&mut **tx)
    .await?;
    Affected::of_rows(&rows)
}
