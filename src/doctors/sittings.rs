//! Reading when a doctor sits.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row};

use super::hours::Sittings;
use crate::db::Tx;
use crate::ids::DoctorId;
use crate::time::Span;

/// Columns of a doctor `d` within the span `$2` to `$3`, as [`Sittings`] are read.
macro_rules! columns {
    () => {
        "(select coalesce(json_agg(json_build_object(
            'location_id', h.location_id, 'time_zone', l.time_zone, 'weekday', h.weekday,
            'starts_at', h.starts_at, 'ends_at', h.ends_at, 'breaks', h.breaks,
            'valid_from', h.valid_from, 'valid_to', h.valid_to)), '[]')
          from availability h join locations l on l.id = h.location_id and l.deleted_at is null
          where h.doctor_id = d.id) as hours,
         (select coalesce(json_agg(json_build_object(
            'location_id', e.location_id, 'time_zone', l.time_zone, 'day', e.day,
            'starts_at', e.starts_at, 'ends_at', e.ends_at, 'breaks', e.breaks)), '[]')
          from extra_hours e join locations l on l.id = e.location_id and l.deleted_at is null
          where e.doctor_id = d.id and e.day between ($2 at time zone 'UTC')::date - 1 and ($3 at time zone 'UTC')::date + 1) as extra,
         (select coalesce(json_agg(json_build_object('from', lower(o.during), 'to', upper(o.during))), '[]')
          from time_off o where o.doctor_id = d.id and o.during && tstzrange($2, $3)) as time_off,
         (select coalesce(json_agg(json_build_object(
          'location_id', h.location_id, 'first_day', h.first_day, 'last_day', h.last_day)), '[]')
          from holidays h where h.last_day >= ($2 at time zone 'UTC')::date - 1
          and h.first_day <= ($3 at time zone 'UTC')::date + 1) as closed"
    };
}

pub(crate) use columns;

impl FromRow<'_, PgRow> for Sittings {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            hours: row.try_get::<Json<_>, _>("hours")?.0,
            extra: row.try_get::<Json<_>, _>("extra")?.0,
            closed: row.try_get::<Json<_>, _>("closed")?.0,
            time_off: row.try_get::<Json<_>, _>("time_off")?.0,
        })
    }
}

/// As this transaction sees it.
pub async fn read(tx: &mut Tx, doctor: DoctorId, within: Span) -> sqlx::Result<Sittings> {
    sqlx::query_as(concat!("select ", columns!(), " from doctors d where d.id = $1"))
        .bind(doctor)
        .bind(within.from)
        .bind(within.to)
        .fetch_one(&mut **tx)
        .await
}
