//! All SQL of the queue. No rule is decided here.

use chrono::{DateTime, NaiveDate, Utc};

use super::model::{Mark, Priority, QueueItem, TokenRow};
use crate::appointments::Status;
use crate::db::Tx;
use crate::ids::{AppointmentId, DoctorId, LocationId};
use crate::tenancy::pools::Conn;

/// Whose queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Today at each location unless given, with who is here since before midnight.
    pub day: Option<NaiveDate>,
    pub doctor: Option<DoctorId>,
    pub location: Option<LocationId>,
}

/// All tokens of a day; in the first twelve hours of today those of the day before, too: who came then may be here yet. And how long the
/// doctors' last consultations took: fifty at most, of ninety days. (What is shorter than a minute or longer than four hours was a wrong
/// click.)
pub async fn tokens(
    conn: &mut Conn,
    asked: Asked,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<TokenRow>> {
    sqlx::query_as(
        "with line as materialized (
           select t.*, l.time_zone, t.day = days.last as is_asked
           from queue_tokens t join locations l on l.id = t.location_id,
                lateral (select coalesce($1, (($2 - interval '12 hours') at time zone l.time_zone)::date) as first,
                                coalesce($1, ($2 at time zone l.time_zone)::date) as last) as days
           where t.day between coalesce($1, ($2 at time zone 'UTC')::date - 2) and coalesce($1, ($2 at time zone 'UTC')::date + 1)
             and t.day between days.first and days.last
             and ($3::uuid is null or t.doctor_id = $3) and ($4::uuid is null or t.location_id = $4)),
         pace as materialized (
           select d.doctor_id, lengths.*
           from (select distinct doctor_id from line) d cross join lateral (
             select count(*) as known, percentile_cont(0.25) within group (order by seconds) as quarter,
                    percentile_cont(0.75) within group (order by seconds) as three_quarters
             from (select extract(epoch from completed_at - started_at)::double precision as seconds
                   from appointments a
                   where a.doctor_id = d.doctor_id and completed_at > $2 - interval '90 days'
                   order by completed_at desc limit 50) as last
             where seconds between 60 and 14400) as lengths)
         select t.appointment_id, t.number, t.day, t.doctor_id, u.full_name as doctor_name, t.location_id, a.patient_id,
                p.full_name as patient_name, extract(year from age(t.day, p.date_of_birth))::integer as age, t.walk_in,
                t.priority, t.state, t.called_at, t.calls, t.nth_call, t.skips, t.skipped_after, t.version, a.status,
                lower(a.during) as starts_at, a.checked_in_at, a.started_at,
                (select string_agg(r.name, ', ' order by r.name) from resources r
                 where r.id = any (a.resource_ids) and r.kind = 'room') as room,
                d.capacity, d.slot_minutes, pace.known, pace.quarter, pace.three_quarters,
                t.is_asked or a.status in ('checked_in', 'in_consultation') and lower(a.during) > $2 - interval '12 hours' as is_here
         from line t
              join appointments a on a.id = t.appointment_id and a.doctor_id = t.doctor_id and a.location_id = t.location_id
                                 and (lower(a.during) at time zone t.time_zone)::date = t.day
              join patients p on p.id = a.patient_id
              join doctors d on d.id = t.doctor_id join users u on u.id = t.doctor_id
              join pace on pace.doctor_id = t.doctor_id",
    )
    .bind(asked.day)
    .bind(now)
    .bind(asked.doctor)
    .bind(asked.location)
    .fetch_all(conn)
    .await
}

/// A visit as the queue sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct VisitRow {
    pub doctor_id: DoctorId,
    pub location_id: LocationId,
    pub status: Status,
    /// None: it has no token where it is now.
    pub day: Option<NaiveDate>,
    pub state: Option<Mark>,
    pub version: Option<i64>,
}

pub async fn visit(conn: &mut Conn, id: AppointmentId) -> sqlx::Result<Option<VisitRow>> {
    sqlx::query_as(
        "select a.doctor_id, a.location_id, a.status, t.day, t.state, t.version
         from appointments a join locations l on l.id = a.location_id
              left join queue_tokens t on t.appointment_id = a.id and t.doctor_id = a.doctor_id
                and t.location_id = a.location_id and t.day = (lower(a.during) at time zone l.time_zone)::date
         where a.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

pub async fn is_doctor(conn: &mut Conn, id: DoctorId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists(select from doctors where id = $1 and deleted_at is null)")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Puts a token on the board.
pub async fn call(tx: &mut Tx, item: &QueueItem) -> sqlx::Result<()> {
    let now = tx.now();
    sqlx::query(
        "update queue_tokens set
           state = 'called', called_at = $5, calls = calls + 1, skipped_after = null, version = version + 1,
           nth_call = case when state = 'called' then nth_call -- once more, and nobody else's turn
                      else (select coalesce(max(nth_call), 0) + 1 from queue_tokens
                            where doctor_id = $1 and location_id = $2 and day = $3) end
         where doctor_id = $1 and location_id = $2 and day = $3 and number = $4",
    )
    .bind(item.doctor_id)
    .bind(item.location_id)
    .bind(item.day)
    .bind(item.token)
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Lets others go before.
pub async fn skip(tx: &mut Tx, item: &QueueItem) -> sqlx::Result<()> {
    sqlx::query(
        "update queue_tokens set
           state = 'skipped', skips = skips + 1, version = version + 1,
           skipped_after = (select coalesce(max(nth_call), 0) from queue_tokens
                            where doctor_id = $1 and location_id = $2 and day = $3)
         where doctor_id = $1 and location_id = $2 and day = $3 and number = $4",
    )
    .bind(item.doctor_id)
    .bind(item.location_id)
    .bind(item.day)
    .bind(item.token)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn set_priority(tx: &mut Tx, item: &QueueItem, priority: Priority) -> sqlx::Result<()> {
    sqlx::query(
        "update queue_tokens set priority = $5, version = version + 1
         where doctor_id = $1 and location_id = $2 and day = $3 and number = $4",
    )
    .bind(item.doctor_id)
    .bind(item.location_id)
    .bind(item.day)
    .bind(item.token)
    .bind(priority.as_str())
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Says of a token that was just given that its patient walked in.
pub async fn mark_walk_in(
    tx: &mut Tx,
    id: AppointmentId,
    priority: Option<Priority>,
) -> sqlx::Result<()> {
    sqlx::query("update queue_tokens set walk_in = true, priority = $2 where appointment_id = $1")
        .bind(id)
        .bind(priority.map(Priority::as_str))
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// A location's name and its board, if it ever had one.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DisplayRow {
    pub name: String,
    /// None: there never was one.
    pub generation: Option<i32>,
    pub is_open: bool,
    pub rotated_at: Option<DateTime<Utc>>,
}

pub async fn display(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<DisplayRow>> {
    sqlx::query_as(
        "select l.name, d.generation, coalesce(d.is_open, false) as is_open, d.rotated_at
         from locations l left join displays d on d.location_id = l.id
         where l.id = $1 and l.deleted_at is null",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Every address so far leads nowhere from now on; `open` says whether there is another.
pub async fn renew_display(tx: &mut Tx, id: LocationId, open: bool) -> sqlx::Result<()> {
    sqlx::query(
        "insert into displays (location_id, is_open) values ($1, $2)
         on conflict (location_id) do update set generation = displays.generation + 1, is_open = $2, rotated_at = now()",
    )
    .bind(id)
    .bind(open)
    .execute(&mut **tx)
    .await
    .map(drop)
}
