//! All SQL of calendars. As in the appointment book, each driving filter is a static statement of its own.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::document::Entry;
use super::view::{Counts, Frame, HolidayView, Short};
use crate::auth::Role;
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{AccountId, DoctorId, LocationId, PatientId};
use crate::tenancy::pools::Conn;
use crate::time;

/// Whose feed it is, and which address of it is good.
#[derive(sqlx::FromRow)]
pub struct Feed {
    pub role: Role,
    pub full_name: String,
    /// The patient that the account signs in as.
    pub patient: Option<PatientId>,
    pub generation: i32,
    pub patient_names: bool,
}

/// The feed of an account that may sign in and has visits of its own.
pub async fn feed(conn: &mut Conn, account: AccountId) -> sqlx::Result<Option<Feed>> {
    sqlx::query_as(
        "select u.role, u.full_name, p.id as patient, coalesce(f.generation, 0) as generation,
                coalesce(f.patient_names, false) as patient_names
         from users u left join calendar_feeds f on f.account_id = u.id
           left join patients p on p.user_id = u.id and p.deleted_at is null
         where u.id = $1 and u.status = 'active' and u.deleted_at is null
           and (u.role in ('doctor', 'therapist') or u.role = 'patient' and p.id is not null)",
    )
    .bind(account)
    .fetch_optional(conn)
    .await
}

pub async fn next_generation(
    tx: &mut Tx,
    account: AccountId,
    patient_names: bool,
) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "insert into calendar_feeds as f (account_id, generation, patient_names) values ($1, 1, $2)
         on conflict (account_id) do update
           set generation = f.generation + 1, patient_names = $2, rotated_at = now()
         returning generation",
    )
    .bind(account)
    .bind(patient_names)
    .fetch_one(&mut **tx)
    .await
}

impl sqlx::FromRow<'_, PgRow> for Entry {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let zone: &str = row.try_get("time_zone")?;
        let zone = time::zone(zone).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "time_zone".into(),
            source: format!("there is no time zone {zone}").into(),
        })?;
        Ok(Self {
            id: row.try_get("id")?,
            number: row.try_get("number")?,
            kind: row.try_get("kind")?,
            status: row.try_get("status")?,
            span: Span::new(row.try_get("starts_at")?, row.try_get("ends_at")?),
            version: row.try_get("version")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            patient_number: row.try_get("patient_number")?,
            patient_name: row.try_get("patient_name")?,
            doctor_name: row.try_get("doctor_name")?,
            location_name: row.try_get("location_name")?,
            location_address: row.try_get("location_address")?,
            zone,
            address: row.try_get("address")?,
        })
    }
}

/// A feed holds no more than this.
const MOST_ENTRIES: i64 = 4_000;

macro_rules! entries {
    ($whose:literal) => {
        concat!(
            "select * from (
               select a.id, a.number, a.kind, a.status, lower(a.during) as starts_at, upper(a.during) as ends_at, a.version,
                      a.created_at, a.updated_at, p.number as patient_number, p.full_name as patient_name,
                      u.full_name as doctor_name, l.name as location_name, l.address as location_address, l.time_zone,
                      a.address
               from appointments a join patients p on p.id = a.patient_id join users u on u.id = a.doctor_id
                 join locations l on l.id = a.location_id
               where ", $whose, " and lower(a.during) >= $2 and lower(a.during) < $3
               order by abs(extract(epoch from lower(a.during) - $4)) limit $5) as nearest
             order by starts_at, id"
        )
    };
}

/// The visits of a feed in a span, by time: those nearest to now, if there are too many.
pub async fn entries(
    conn: &mut Conn,
    account: AccountId,
    feed: &Feed,
    within: Span,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Entry>> {
    let (sql, whose) = match (feed.role, feed.patient) {
        (Role::Patient, Some(patient)) => (entries!("a.patient_id = $1"), patient.0),
        (Role::Doctor, _) => (entries!("a.doctor_id = $1"), account.0),
        _ => (entries!("a.resource_ids <> '{}' and a.resource_ids @> array[$1::uuid]"), account.0),
    };
    sqlx::query_as(sql)
        .bind(whose)
        .bind(within.from)
        .bind(within.to)
        .bind(now)
        .bind(MOST_ENTRIES)
        .fetch_all(conn)
        .await
}

/// Whose days are asked for.
pub struct Narrow {
    /// A therapist's own: visits that claim him.
    pub subject: Option<Uuid>,
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
    pub location: Option<LocationId>,
}

/// One day, as the database has it.
pub struct DayRow {
    pub counts: Counts,
    pub items: Vec<Short>,
    pub holidays: Vec<HolidayView>,
}

/// Each of the days (`$1`, `$2`: from and to; `$8`: the date) with its counts and its first `$3` visits. All visits of a day are read once.
macro_rules! days {
    ($whose:literal) => {
        concat!(
            "select counts, items,
                    (select coalesce(json_agg(json_build_object('name', h.name, 'location_id', h.location_id) order by h.name, h.id), '[]')
                     from holidays h where h.first_day <= date and date <= h.last_day
                       and ($7::uuid is null or h.location_id is null or h.location_id = $7)) as holidays
             from unnest($1::timestamptz[], $2::timestamptz[], $8::date[]) with ordinality as d (day_from, day_to, date, n)
             cross join lateral (
               select json_build_object(
                        'total', count(*), 'booked', count(*) filter (where status = 'booked'),
                        'confirmed', count(*) filter (where status = 'confirmed'),
                        'checked_in', count(*) filter (where status = 'checked_in'),
                        'in_consultation', count(*) filter (where status = 'in_consultation'),
                        'completed', count(*) filter (where status = 'completed'),
                        'cancelled', count(*) filter (where status = 'cancelled'),
                        'no_show', count(*) filter (where status = 'no_show'),
                        'overbooked', count(*) filter (where overbooked and status not in ('cancelled', 'no_show'))) as counts,
                      coalesce(json_agg(json_build_object(
                        'id', id, 'number', number, 'patient_id', patient_id, 'patient_name', patient_name,
                        'doctor_id', doctor_id, 'doctor_name', doctor_name, 'location_id', location_id, 'kind', kind,
                        'status', status, 'starts_at', starts_at, 'ends_at', ends_at, 'overbooked', overbooked,
                        'late_cancelled', late_cancelled)
                        order by starts_at, id) filter (where place <= $3), '[]') as items
               from (
                 select a.id, a.number, a.patient_id, p.full_name as patient_name, a.doctor_id, u.full_name as doctor_name,
                        a.location_id, a.kind, a.status, lower(a.during) as starts_at, upper(a.during) as ends_at,
                        a.overbook_reason is not null as overbooked, a.late_cancelled,
                        row_number() over (order by lower(a.during), a.id) as place
                 from appointments a join patients p on p.id = a.patient_id join users u on u.id = a.doctor_id
                 where ", $whose, " and lower(a.during) >= day_from and lower(a.during) < day_to
                   and ($5::uuid is null or a.doctor_id = $5) and ($6::uuid is null or a.patient_id = $6)
                   and ($7::uuid is null or a.location_id = $7)) as visits) as day
             order by n"
        )
    };
}

/// The days of a calendar, in order, in one round trip.
pub async fn days(
    conn: &mut Conn,
    frame: &Frame,
    narrow: &Narrow,
    most: i64,
) -> sqlx::Result<Vec<DayRow>> {
    let Narrow { subject, doctor, patient, location } = *narrow;
    let (sql, whose) = match (subject, doctor, patient, location) {
        (Some(subject), ..) => (
            days!(
                "a.id in (select appointment_id from claims where subject_id = $4 and during && tstzrange(day_from, day_to))"
            ),
            Some(subject),
        ),
        (_, Some(doctor), ..) => (days!("a.doctor_id = $4"), Some(doctor.0)),
        (_, _, Some(patient), _) => (days!("a.patient_id = $4"), Some(patient.0)),
        (_, _, _, Some(location)) => (days!("a.location_id = $4"), Some(location.0)),
        _ => (days!("$4::uuid is null"), None),
    };
    sqlx::query(sql)
        .bind(frame.spans.iter().map(|day| day.from).collect::<Vec<_>>())
        .bind(frame.spans.iter().map(|day| day.to).collect::<Vec<_>>())
        .bind(most)
        .bind(whose)
        .bind(doctor)
        .bind(patient)
        .bind(location)
        .bind(&frame.dates)
        .try_map(|row: PgRow| {
            Ok(DayRow {
                counts: row.try_get::<Json<_>, _>(0)?.0,
                items: row.try_get::<Json<_>, _>(1)?.0,
                holidays: row.try_get::<Json<_>, _>(2)?.0,
            })
        })
        .fetch_all(conn)
        .await
}

pub async fn location_zone(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select time_zone from locations where id = $1 and deleted_at is null")
        .bind(id)
        .fetch_optional(conn)
        .await
}
