//! All SQL of doctors. A clinic's doctors are few: one statement lists them, whatever the filters. Account and profile are
//! two rows of one resource, so its version is the sum of theirs: it grows with each change of either.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::availability::{Line, LineView};
use super::hours::Break;
use super::minute::Minute;
use super::model::{DoctorView, Profile};
use super::time_off::{NewTimeOff, TimeOffView};
use crate::db::Tx;
use crate::ids::{AvailabilityId, DoctorId, LocationId, TimeOffId};
use crate::money::Money;
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for DoctorView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let amount: Option<i64> = row.try_get("fee_minor")?;
        let currency: Option<String> = row.try_get("fee_currency")?;
        let fee = amount.zip(currency);
        Ok(Self {
            id: row.try_get("id")?,
            full_name: row.try_get("full_name")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            status: row.try_get("status")?,
            profile: Profile {
                registration_number: row.try_get("registration_number")?,
                qualification: row.try_get("qualification")?,
                specialties: row.try_get("specialties")?,
                languages: row.try_get("languages")?,
                fee: fee.map(|(amount_minor, currency)| Money { currency, amount_minor }),
                slot_minutes: row.try_get("slot_minutes")?,
                capacity: row.try_get("capacity")?,
                max_per_day: row.try_get("max_per_day")?,
            },
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            version: row.try_get("version")?,
        })
    }
}

/// The columns of a view, and their tables.
macro_rules! view {
    ($rest:literal) => {
        concat!(
            "select d.id, u.full_name, u.email, u.phone, u.status, d.registration_number, d.qualification,
                    d.specialties, d.languages, d.fee_minor, d.fee_currency, d.slot_minutes, d.capacity, d.max_per_day,
                    d.created_at, greatest(d.updated_at, u.updated_at) as updated_at,
                    d.version + u.version as version
             from doctors d join users u on u.id = d.id
             where d.deleted_at is null and u.deleted_at is null ",
            $rest
        )
    };
}

/// Which doctors; what is none does not narrow.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Part of a name.
    pub search: Option<String>,
    pub specialty: Option<String>,
    /// Who sits there on `today`, or will.
    pub location: Option<LocationId>,
    pub today: NaiveDate,
    pub only_active: bool,
}

pub async fn list(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<DoctorId>,
    limit: i64,
) -> sqlx::Result<Vec<DoctorView>> {
    sqlx::query_as(view!(
        "and d.id > $1
           and ($2::text is null or strpos(lower(u.full_name), lower($2)) > 0)
           and ($3::text is null or exists(select from unnest(d.specialties) as s (name) where lower(name) = lower($3)))
           and ($4::uuid is null or exists(select from availability h where h.doctor_id = d.id and h.location_id = $4
                                           and (h.valid_to is null or h.valid_to > $5)))
           and (not $6 or u.status = 'active')
         order by d.id limit $7"
    ))
    .bind(after.map_or(uuid::Uuid::nil(), |id| id.0))
    .bind(&filter.search)
    .bind(&filter.specialty)
    .bind(filter.location)
    .bind(filter.today)
    .bind(filter.only_active)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// What the clinic's doctors are good at, each once however it is capitalised.
pub async fn specializations(conn: &mut Conn) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select distinct on (lower(name)) name
         from doctors d join users u on u.id = d.id, unnest(d.specialties) as s (name)
         where d.deleted_at is null and u.deleted_at is null and u.status = 'active'
         order by lower(name), name",
    )
    .fetch_all(conn)
    .await
}

pub async fn by_id(conn: &mut Conn, id: DoctorId) -> sqlx::Result<Option<DoctorView>> {
    sqlx::query_as(view!("and d.id = $1")).bind(id).fetch_optional(conn).await
}

/// As [`by_id`], and nobody else changes account or profile until this transaction ends. Visits may be booked meanwhile.
pub async fn lock(tx: &mut Tx, id: DoctorId) -> sqlx::Result<Option<DoctorView>> {
    sqlx::query_as(view!("and d.id = $1 for no key update"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

pub async fn insert(tx: &mut Tx, id: DoctorId, new: &Profile) -> sqlx::Result<()> {
    sqlx::query(
        "insert into doctors (id, registration_number, qualification, specialties, languages, fee_minor, fee_currency,
                              slot_minutes, capacity, max_per_day)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(&new.registration_number)
    .bind(&new.qualification)
    .bind(&new.specialties)
    .bind(&new.languages)
    .bind(new.fee.as_ref().map(|fee| fee.amount_minor))
    .bind(new.fee.as_ref().map(|fee| fee.currency.as_str()))
    .bind(new.slot_minutes)
    .bind(new.capacity)
    .bind(new.max_per_day)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn update(tx: &mut Tx, id: DoctorId, new: &Profile) -> sqlx::Result<()> {
    sqlx::query(
        "update doctors set registration_number = $2, qualification = $3, specialties = $4, languages = $5,
                            fee_minor = $6, fee_currency = $7, slot_minutes = $8, capacity = $9, max_per_day = $10,
                            version = version + 1, updated_at = now()
         where id = $1",
    )
    .bind(id)
    .bind(&new.registration_number)
    .bind(&new.qualification)
    .bind(&new.specialties)
    .bind(&new.languages)
    .bind(new.fee.as_ref().map(|fee| fee.amount_minor))
    .bind(new.fee.as_ref().map(|fee| fee.currency.as_str()))
    .bind(new.slot_minutes)
    .bind(new.capacity)
    .bind(new.max_per_day)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes a change of what belongs to a doctor: his tag is the tag of it too. Returns how it stands then.
pub async fn touch(tx: &mut Tx, id: DoctorId) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "update doctors d set version = d.version + 1, updated_at = now()
         from users u where d.id = $1 and u.id = d.id returning d.version + u.version",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await
}

impl sqlx::FromRow<'_, PgRow> for LineView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Json(breaks) = row.try_get::<Json<Vec<Break>>, _>("breaks")?;
        Ok(Self {
            id: row.try_get("id")?,
            location_id: row.try_get("location_id")?,
            weekday: row.try_get("weekday")?,
            starts_at: minute(row, "starts_at")?,
            ends_at: minute(row, "ends_at")?,
            breaks,
            valid_from: row.try_get("valid_from")?,
            valid_to: row.try_get("valid_to")?,
        })
    }
}

/// Hours cross as text: `24:00` is a time of day to PostgreSQL, and to no driver of it.
pub(super) fn minute(row: &PgRow, column: &str) -> sqlx::Result<Minute> {
    Minute::parse(row.try_get(column)?).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: "no minute of a day".into(),
    })
}

/// The weekly hours of a doctor, in the order of the week. (Old ones may name a location that has been closed since.)
pub async fn availability(conn: &mut Conn, doctor: DoctorId) -> sqlx::Result<Vec<LineView>> {
    sqlx::query_as(
        "select h.id, h.location_id, h.weekday, h.starts_at::text, h.ends_at::text, h.breaks, h.valid_from, h.valid_to
         from availability h join locations l on l.id = h.location_id and l.deleted_at is null
         where h.doctor_id = $1
         order by h.weekday, h.starts_at, h.valid_from nulls first, h.id",
    )
    .bind(doctor)
    .fetch_all(conn)
    .await
}

/// Where hours may be. None of these is closed until this transaction ends.
pub async fn places(tx: &mut Tx) -> sqlx::Result<Vec<LocationId>> {
    sqlx::query_scalar(
        "select id from locations where deleted_at is null order by id for key share",
    )
    .fetch_all(&mut **tx)
    .await
}

/// Ends all weekly hours of a doctor.
pub async fn clear_availability(tx: &mut Tx, doctor: DoctorId) -> sqlx::Result<()> {
    sqlx::query("delete from availability where doctor_id = $1")
        .bind(doctor)
        .execute(&mut **tx)
        .await
        .map(drop)
}

pub async fn insert_availability(
    tx: &mut Tx,
    doctor: DoctorId,
    lines: &[Line],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into availability
           (id, doctor_id, location_id, weekday, starts_at, ends_at, breaks, valid_from, valid_to)
         select id, $1, location_id, weekday, starts_at::time, ends_at::time, breaks, valid_from, valid_to
         from unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::jsonb[], $8::date[], $9::date[])
           as h (id, location_id, weekday, starts_at, ends_at, breaks, valid_from, valid_to)",
    )
    .bind(doctor)
    .bind(lines.iter().map(|line| line.id.unwrap_or_else(AvailabilityId::new)).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.location_id).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.weekday).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.starts_at.to_string()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.ends_at.to_string()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| Json(&line.breaks)).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.valid_from).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.valid_to).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn times_off(
    conn: &mut Conn,
    doctor: DoctorId,
    after: Option<(DateTime<Utc>, TimeOffId)>,
    limit: i64,
) -> sqlx::Result<Vec<TimeOffView>> {
    let (at, id) = after.unzip();
    sqlx::query_as(
        "select id, lower(during) as starts_at, upper(during) as ends_at, reason, created_at
         from time_off where doctor_id = $1 and ($2::timestamptz is null or (lower(during), id) > ($2, $3))
         order by lower(during), id limit $4",
    )
    .bind(doctor)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn time_off(
    conn: &mut Conn,
    doctor: DoctorId,
    id: TimeOffId,
) -> sqlx::Result<Option<TimeOffView>> {
    sqlx::query_as(
        "select id, lower(during) as starts_at, upper(during) as ends_at, reason, created_at
         from time_off where doctor_id = $1 and id = $2",
    )
    .bind(doctor)
    .bind(id)
    .fetch_optional(conn)
    .await
}

pub async fn insert_time_off(
    tx: &mut Tx,
    doctor: DoctorId,
    new: &NewTimeOff,
) -> sqlx::Result<TimeOffView> {
    sqlx::query_as(
        "insert into time_off (id, doctor_id, during, reason) values ($1, $2, tstzrange($3, $4), $5)
         returning id, lower(during) as starts_at, upper(during) as ends_at, reason, created_at",
    )
    .bind(TimeOffId::new())
    .bind(doctor)
    .bind(new.starts_at)
    .bind(new.ends_at)
    .bind(new.reason.as_deref().unwrap_or_default())
    .fetch_one(&mut **tx)
    .await
}

/// For good: the audit log keeps what it was.
pub async fn delete_time_off(tx: &mut Tx, id: TimeOffId) -> sqlx::Result<()> {
    sqlx::query("delete from time_off where id = $1").bind(id).execute(&mut **tx).await.map(drop)
}
