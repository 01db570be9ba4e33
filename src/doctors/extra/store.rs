//! All SQL of extra days.

use chrono::NaiveDate;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::model::{ExtraHoursView, NewExtraHours};
use crate::db::Tx;
use crate::doctors::hours::Break;
use crate::doctors::store::minute;
use crate::ids::{DoctorId, ExtraHoursId};
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for ExtraHoursView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Json(breaks) = row.try_get::<Json<Vec<Break>>, _>("breaks")?;
        Ok(Self {
            id: row.try_get("id")?,
            location_id: row.try_get("location_id")?,
            day: row.try_get("day")?,
            starts_at: minute(row, "starts_at")?,
            ends_at: minute(row, "ends_at")?,
            breaks,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// The columns of a view, read or given back by a change.
macro_rules! view {
    (columns) => {
        "id, location_id, day, starts_at::text, ends_at::text, breaks, created_at"
    };
    ($rest:literal) => {
        concat!("select ", view!(columns), " from extra_hours where doctor_id = $1 ", $rest)
    };
}

/// By the day.
pub async fn list(
    conn: &mut Conn,
    doctor: DoctorId,
    after: Option<(NaiveDate, ExtraHoursId)>,
    limit: i64,
) -> sqlx::Result<Vec<ExtraHoursView>> {
    let (day, id) = after.unzip();
    sqlx::query_as(view!(
        "and ($2::date is null or (day, id) > ($2, $3)) order by day, id limit $4"
    ))
    .bind(doctor)
    .bind(day)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Those from a day on. (Some may name a location that has been closed since.)
pub async fn to_come(
    conn: &mut Conn,
    doctor: DoctorId,
    first: NaiveDate,
) -> sqlx::Result<Vec<ExtraHoursView>> {
    sqlx::query_as(view!(
        "and day >= $2 and exists(select from locations l where l.id = location_id and l.deleted_at is null) order by day, id"
    ))
    .bind(doctor)
    .bind(first)
    .fetch_all(conn)
    .await
}

pub async fn by_id(
    conn: &mut Conn,
    doctor: DoctorId,
    id: ExtraHoursId,
) -> sqlx::Result<Option<ExtraHoursView>> {
    sqlx::query_as(view!("and id = $2")).bind(doctor).bind(id).fetch_optional(conn).await
}

pub async fn insert(
    tx: &mut Tx,
    doctor: DoctorId,
    new: &NewExtraHours,
) -> sqlx::Result<ExtraHoursView> {
    sqlx::query_as(concat!(
        "insert into extra_hours (id, doctor_id, location_id, day, starts_at, ends_at, breaks)
         values ($1, $2, $3, $4, $5::text::time, $6::text::time, $7) returning ",
        view!(columns)
    ))
    .bind(ExtraHoursId::new())
    .bind(doctor)
    .bind(new.location_id)
    .bind(new.day)
    .bind(new.starts_at.to_string())
    .bind(new.ends_at.to_string())
    .bind(Json(&new.breaks))
    .fetch_one(&mut **tx)
    .await
}

/// For good: the audit log keeps what it was.
pub async fn delete(tx: &mut Tx, id: ExtraHoursId) -> sqlx::Result<()> {
    sqlx::query("delete from extra_hours where id = $1").bind(id).execute(&mut **tx).await.map(drop)
}
