//! All SQL of appointments. No rule is decided here. Each driving filter of the list is a static statement of its own: with
//! generic plans, one statement for all of them would read the whole table. Words are bound as text: for a type that it knows by
//! name alone, sqlx asks the catalog first on every new connection.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::ahead;
use super::fitting::Claim;
use super::history;
use super::model::{AppointmentView, Status, Taken};
use crate::audit::Actor;
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{
    AccountId, AppointmentId, DoctorId, HoldId, LocationId, MessageId, PatientId, SeriesId,
};
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for AppointmentView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let (starts_at, ends_at): (DateTime<Utc>, DateTime<Utc>) =
            (row.try_get(9)?, row.try_get(10)?);
        Ok(Self {
            id: row.try_get(0)?,
            number: row.try_get(1)?,
            patient_id: row.try_get(2)?,
            patient_name: row.try_get(3)?,
            doctor_id: row.try_get(4)?,
            doctor_name: row.try_get(5)?,
            location_id: row.try_get(6)?,
            kind: row.try_get(7)?,
            status: row.try_get(8)?,
            starts_at,
            ends_at,
            duration_minutes: (ends_at - starts_at).num_minutes(),
            overbooked: row.try_get(11)?,
            reason: row.try_get(12)?,
            address: row.try_get(13)?,
            cancel_reason: row.try_get(14)?,
            created_at: row.try_get(15)?,
            updated_at: row.try_get(16)?,
            version: row.try_get(17)?,
            resource_ids: row.try_get(18)?,
            join_url: None,
            taken: Taken {
                checked_in_at: row.try_get(19)?,
                started_at: row.try_get(20)?,
                completed_at: row.try_get(21)?,
                late_cancelled: row.try_get(22)?,
            },
            series_id: row.try_get(23)?,
        })
    }
}

/// The columns of a view, and their tables. Where `$1` is the doctor, `of_doctor` reads his name once, not once for each row.
macro_rules! view {
    (of_doctor $rest:literal) => {
        view!("(select full_name from users where id = $1)", "", $rest)
    };
    ($rest:literal) => {
        view!("u.full_name", "join users u on u.id = a.doctor_id", $rest)
    };
    ($doctor_name:literal, $doctor:literal, $rest:literal) => {
        concat!(
            "select a.id, a.number, a.patient_id, p.full_name, a.doctor_id, ", $doctor_name, ", a.location_id,
                    a.kind, a.status, lower(a.during), upper(a.during), a.overbook_reason is not null,
                    a.reason, a.address, a.cancel_reason, a.created_at, a.updated_at, a.version, a.resource_ids,
                    a.checked_in_at, a.started_at, a.completed_at, a.late_cancelled, a.series_id
             from appointments a join patients p on p.id = a.patient_id ", $doctor, " ", $rest
        )
    };
}

/// What narrows a list further, once its driving filter is chosen.
#[derive(Clone, Debug)]
pub struct Narrow {
    pub within: Span,
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
    pub location: Option<LocationId>,
    pub status: Option<Status>,
    pub overbooked: Option<bool>,
    /// The last row of the page before.
    pub after: Option<(DateTime<Utc>, AppointmentId)>,
    pub limit: i64,
}

impl Narrow {
    /// The page begins after this row. Without one, before the first instant of the span.
    fn cursor(&self) -> (DateTime<Utc>, Uuid) {
        self.after.map_or((self.within.from, Uuid::nil()), |(at, id)| (at, id.0))
    }
}

pub async fn of_doctor(
    conn: &mut Conn,
    doctor: DoctorId,
    narrow: &Narrow,
) -> sqlx::Result<Vec<AppointmentView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(of_doctor
        "where a.doctor_id = $1 and lower(a.during) >= $2 and lower(a.during) < $3
           and (lower(a.during), a.id) > ($2, $4)
           and ($5::uuid is null or a.patient_id = $5) and ($6::uuid is null or a.location_id = $6)
           and ($7::text is null or a.status = $7)
           and ($9::boolean is null or (a.overbook_reason is not null) = $9)
         order by lower(a.during), a.id limit $8"
    ))
    .bind(doctor)
    .bind(at)
    .bind(narrow.within.to)
    .bind(id)
    .bind(narrow.patient)
    .bind(narrow.location)
    .bind(narrow.status.map(Status::as_str))
    .bind(narrow.limit)
    .bind(narrow.overbooked)
    .fetch_all(conn)
    .await
}

pub async fn of_patient(
    conn: &mut Conn,
    patient: PatientId,
    narrow: &Narrow,
) -> sqlx::Result<Vec<AppointmentView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(
        "where a.patient_id = $1 and lower(a.during) >= $2 and lower(a.during) < $3
           and (lower(a.during), a.id) > ($2, $4)
           and ($5::uuid is null or a.location_id = $5) and ($6::text is null or a.status = $6)
           and ($8::boolean is null or (a.overbook_reason is not null) = $8)
         order by lower(a.during), a.id limit $7"
    ))
    .bind(patient)
    .bind(at)
    .bind(narrow.within.to)
    .bind(id)
    .bind(narrow.location)
    .bind(narrow.status.map(Status::as_str))
    .bind(narrow.limit)
    .bind(narrow.overbooked)
    .fetch_all(conn)
    .await
}

pub async fn of_location(
    conn: &mut Conn,
    location: LocationId,
    narrow: &Narrow,
) -> sqlx::Result<Vec<AppointmentView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(
        "where a.location_id = $1 and lower(a.during) >= $2 and lower(a.during) < $3
           and (lower(a.during), a.id) > ($2, $4) and ($5::text is null or a.status = $5)
           and ($7::boolean is null or (a.overbook_reason is not null) = $7)
         order by lower(a.during), a.id limit $6"
    ))
    .bind(location)
    .bind(at)
    .bind(narrow.within.to)
    .bind(id)
    .bind(narrow.status.map(Status::as_str))
    .bind(narrow.limit)
    .bind(narrow.overbooked)
    .fetch_all(conn)
    .await
}

pub async fn of_everybody(conn: &mut Conn, narrow: &Narrow) -> sqlx::Result<Vec<AppointmentView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(
        "where lower(a.during) >= $1 and lower(a.during) < $2 and (lower(a.during), a.id) > ($1, $3)
           and ($4::text is null or a.status = $4)
           and ($6::boolean is null or (a.overbook_reason is not null) = $6)
         order by lower(a.during), a.id limit $5"
    ))
    .bind(at)
    .bind(narrow.within.to)
    .bind(id)
    .bind(narrow.status.map(Status::as_str))
    .bind(narrow.limit)
    .bind(narrow.overbooked)
    .fetch_all(conn)
    .await
}

/// Visits that claim somebody or something beside their doctor and patient: a therapist's own. (A cursor may lie beyond the
/// span's end: then nothing is in it, where a range that ends before it begins would be an error.)
pub async fn claiming(
    conn: &mut Conn,
    subject: Uuid,
    narrow: &Narrow,
) -> sqlx::Result<Vec<AppointmentView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(
        "where a.id in (select appointment_id from claims where subject_id = $1 and during && tstzrange(least($2, $3), $3))
           and lower(a.during) >= $2 and (lower(a.during), a.id) > ($2, $4)
           and ($5::uuid is null or a.doctor_id = $5) and ($6::uuid is null or a.patient_id = $6)
           and ($7::uuid is null or a.location_id = $7) and ($8::text is null or a.status = $8)
           and ($10::boolean is null or (a.overbook_reason is not null) = $10)
         order by lower(a.during), a.id limit $9"
    ))
    .bind(subject)
    .bind(at)
    .bind(narrow.within.to)
    .bind(id)
    .bind(narrow.doctor)
    .bind(narrow.patient)
    .bind(narrow.location)
    .bind(narrow.status.map(Status::as_str))
    .bind(narrow.limit)
    .bind(narrow.overbooked)
    .fetch_all(conn)
    .await
}

pub async fn is_claimed_by(
    conn: &mut Conn,
    id: AppointmentId,
    subject: Uuid,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from claims where appointment_id = $1 and subject_id = $2)",
    )
    .bind(id)
    .bind(subject)
    .fetch_one(conn)
    .await
}

pub async fn by_id(conn: &mut Conn, id: AppointmentId) -> sqlx::Result<Option<AppointmentView>> {
    sqlx::query_as(view!("where a.id = $1")).bind(id).fetch_optional(conn).await
}

/// The visits of a series, by time; of those that claim somebody alone, if he is given.
pub async fn of_series(
    conn: &mut Conn,
    id: SeriesId,
    claiming: Option<AccountId>,
) -> sqlx::Result<Vec<AppointmentView>> {
    sqlx::query_as(view!(
        "where a.series_id = $1 and ($2::uuid is null or exists (
           select from claims c where c.appointment_id = a.id and c.subject_id = $2))
         order by lower(a.during), a.id"
    ))
    .bind(id)
    .bind(claiming)
    .fetch_all(conn)
    .await
}

/// The series itself, before its visits.
pub async fn insert_series(tx: &mut Tx, id: SeriesId, patient: PatientId) -> sqlx::Result<()> {
    let booked_by = tx.actor().account;
    sqlx::query("insert into appointment_series (id, patient_id, booked_by) values ($1, $2, $3)")
        .bind(id)
        .bind(patient)
        .bind(booked_by)
        .execute(&mut **tx)
        .await
        .map(drop)
}

pub async fn location_zone(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select time_zone from locations where id = $1 and deleted_at is null")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Claims, column by column.
struct Columns {
    subjects: Vec<Uuid>,
    seats: Vec<i16>,
    froms: Vec<DateTime<Utc>>,
    tos: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(claims: &[Claim]) -> Self {
        Self {
            subjects: claims.iter().map(|claim| claim.subject).collect(),
            seats: claims.iter().map(|claim| claim.seat).collect(),
            froms: claims.iter().map(|claim| claim.during.from).collect(),
            tos: claims.iter().map(|claim| claim.during.to).collect(),
        }
    }
}

/// A visit about to be written, all decided.
pub struct Writing<'a> {
    pub view: &'a AppointmentView,
    pub overbook_reason: Option<&'a str>,
    pub claims: &'a [Claim],
    /// None: the patient hears of it otherwise.
    pub message: Option<MessageId>,
}

/// Visit, claims, audit and message in one statement: one round trip instead of four, at twice the rate. The claims that
/// could be had are counted in the first column; fewer than asked for means that somebody was faster.
pub async fn insert(tx: &mut Tx, new: &Writing<'_>) -> sqlx::Result<(i64, String, DateTime<Utc>)> {
    let view = new.view;
    let actor: Actor = tx.actor().clone();
    tx.note_audit();
    tx.note_news();
    let Columns { subjects, seats, froms, tos } = Columns::of(new.claims);
    sqlx::query_as(concat!(
        "with visit as (
           insert into appointments (id, patient_id, doctor_id, location_id, kind, during, reason, address,
                                     overbook_reason, booked_by, resource_ids, series_id)
           values ($1, $2, $3, $4, $5, tstzrange($6, $7), $8, $9, $10, $11, $21, $24)
           returning number, created_at),
         claimed as (
           insert into claims (appointment_id, subject_id, seat, during)
           select $1, subject_id, seat, tstzrange(starts_at, ends_at)
           from unnest($12::uuid[], $13::smallint[], $19::timestamptz[], $20::timestamptz[])
             as c (subject_id, seat, starts_at, ends_at)
           on conflict do nothing returning 1),
         noted as (
           insert into audit_log (request_id, account_id, role, session_id, address, action, entity, entity_id,
                                  about_id, details)
           values ($14, $11, $15, $16, $17::inet, 'appointment.booked', 'appointment', $1, $2,
                   jsonb_build_object('doctor_id', $3::uuid, 'starts_at', $6::timestamptz, 'overbook_reason', $10::text))),
         shown as (
           insert into live_events (kind, appointment_id, doctor_id, patient_id, location_id, subjects, details)
           values ('appointment.booked', $1, $3, $2, $4, $12::uuid[], '{\"status\": \"booked\"}')),
         remembered as (
           insert into appointment_changes (appointment_id, what, after, reason, account_id, role)
           values ($1, 'booked', $22, $10, $11, $15)),
         told as (
           insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
           select $18, 'appointment.booked', 'appointment.booked:' || $1::text, $1, $2, now(), $6
           where $18::uuid is not null and now() < $6), -- we may have waited for the locks until it began: then nobody needs to hear of it
         ahead as (", ahead::statement!("$1", "$2", "$4", "$6", "1", "$23"), ")
         select (select count(*) from claimed), number, created_at from visit"
    ))
    .bind(view.id)
    .bind(view.patient_id)
    .bind(view.doctor_id)
    .bind(view.location_id)
    .bind(view.kind.as_str())
    .bind(view.starts_at)
    .bind(view.ends_at)
    .bind(&view.reason)
    .bind(&view.address)
    .bind(new.overbook_reason)
    .bind(actor.account)
    .bind(subjects)
    .bind(seats)
    .bind(actor.request_id)
    .bind(actor.role)
    .bind(actor.session)
    .bind(actor.address.map(|address| address.to_string()))
    .bind(new.message)
    .bind(froms)
    .bind(tos)
    .bind(&view.resource_ids)
    .bind(history::of_booking(view))
    .bind(ahead::ids())
    .bind(view.series_id)
    .fetch_one(&mut **tx)
    .await
}

/// Puts a visit into a status that it had elsewhere. Nobody is told, and when it took its steps is not known.
pub async fn settle(tx: &mut Tx, id: AppointmentId, status: Status) -> sqlx::Result<()> {
    sqlx::query("update appointments set status = $2 where id = $1")
        .bind(id)
        .bind(status.as_str())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Rewrites what is said of a visit that stays where it is.
pub async fn describe(tx: &mut Tx, view: &AppointmentView) -> sqlx::Result<(DateTime<Utc>, i64)> {
    sqlx::query_as(
        "update appointments set kind = $2, reason = $3, address = $4, resource_ids = $5, version = version + 1,
                                 updated_at = now()
         where id = $1 returning updated_at, version",
    )
    .bind(view.id)
    .bind(view.kind.as_str())
    .bind(&view.reason)
    .bind(&view.address)
    .bind(&view.resource_ids)
    .fetch_one(&mut **tx)
    .await
}

/// Rewrites a visit at its new time and place.
pub async fn relocate(
    tx: &mut Tx,
    view: &AppointmentView,
    overbook_reason: Option<&str>,
) -> sqlx::Result<(DateTime<Utc>, i64)> {
    sqlx::query_as(
        "update appointments set doctor_id = $2, location_id = $3, kind = $4, during = tstzrange($5, $6), reason = $7,
                                 address = $8, overbook_reason = $9, status = $10, resource_ids = $11,
                                 version = version + 1, updated_at = now()
         where id = $1 returning updated_at, version",
    )
    .bind(view.id)
    .bind(view.doctor_id)
    .bind(view.location_id)
    .bind(view.kind.as_str())
    .bind(view.starts_at)
    .bind(view.ends_at)
    .bind(&view.reason)
    .bind(&view.address)
    .bind(overbook_reason)
    .bind(view.status.as_str())
    .bind(&view.resource_ids)
    .fetch_one(&mut **tx)
    .await
}

/// Whose claims they are: a visit's, or a hold's until an instant.
#[derive(Clone, Copy, Debug)]
pub enum Claimer {
    Visit(AppointmentId),
    Hold(HoldId, DateTime<Utc>),
}

/// Claims for a visit or a hold; how many of the seats could be had.
pub async fn claim(tx: &mut Tx, by: Claimer, claims: &[Claim]) -> sqlx::Result<u64> {
    let Columns { subjects, seats, froms, tos } = Columns::of(claims);
    let (visit, hold, until) = match by {
        Claimer::Visit(id) => (Some(id), None, None),
        Claimer::Hold(id, until) => (None, Some(id), Some(until)),
    };
    let claimed = sqlx::query(
        "insert into claims (appointment_id, hold_id, hold_until, subject_id, seat, during)
         select $1, $2, $3, subject_id, seat, tstzrange(starts_at, ends_at)
         from unnest($4::uuid[], $5::smallint[], $6::timestamptz[], $7::timestamptz[])
           as c (subject_id, seat, starts_at, ends_at)
         on conflict do nothing",
    )
    .bind(visit)
    .bind(hold)
    .bind(until)
    .bind(subjects)
    .bind(seats)
    .bind(froms)
    .bind(tos)
    .execute(&mut **tx)
    .await?;
    Ok(claimed.rows_affected())
}

/// Gives a hold's time back; false when there is none.
pub async fn release_hold(tx: &mut Tx, id: HoldId) -> sqlx::Result<bool> {
    let released =
        sqlx::query("delete from claims where hold_id = $1").bind(id).execute(&mut **tx).await?;
    Ok(released.rows_affected() > 0)
}

/// Deletes what has lapsed of the holds on these subjects, which are locked: the constraint would count them yet.
pub async fn forget_lapsed(tx: &mut Tx, subjects: &[Uuid], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query("delete from claims where subject_id = any ($1) and hold_until <= $2")
        .bind(subjects)
        .bind(now)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Where video visits take place, and how many minutes before one its door opens. None: they have no link.
pub async fn video_rules(conn: &mut Conn) -> sqlx::Result<Option<(String, i32)>> {
    sqlx::query_as(
        "select video_base_url, video_opens_minutes from scheduling_rules where video_base_url is not null",
    )
    .fetch_optional(conn)
    .await
}

/// Gives a visit's time back.
pub async fn release(tx: &mut Tx, id: AppointmentId) -> sqlx::Result<()> {
    sqlx::query("delete from claims where appointment_id = $1")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// When a visit's patient will not come any more by the clinic's rules, and whether that is now; none where the clinic marks nobody.
pub async fn missed_at(
    tx: &mut Tx,
    id: AppointmentId,
) -> sqlx::Result<Option<(DateTime<Utc>, bool)>> {
    sqlx::query_as(
        "select missed_at, missed_at <= now()
         from (select lower(a.during) + make_interval(mins => r.no_show_after_minutes) as missed_at
               from appointments a cross join scheduling_rules r
               where a.id = $1 and r.no_show_after_minutes is not null) as rule",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await
}

/// Why a visit was overbooked on purpose, if it was.
pub async fn overbook_reason(tx: &mut Tx, id: AppointmentId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select overbook_reason from appointments where id = $1")
        .bind(id)
        .fetch_one(&mut **tx)
        .await
}

/// A location's name and zone.
pub async fn location_name(
    conn: &mut Conn,
    id: LocationId,
) -> sqlx::Result<Option<(String, String)>> {
    sqlx::query_as("select name, time_zone from locations where id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Takes a step, or goes back by one: the times of steps that the visit has not reached are none.
pub async fn set_status(
    tx: &mut Tx,
    id: AppointmentId,
    status: Status,
) -> sqlx::Result<AppointmentView> {
    sqlx::query(
        "update appointments set
           status = $2, version = version + 1, updated_at = now(),
           checked_in_at = case when $2 in ('booked', 'confirmed') then null
                                when $2 = 'checked_in' then coalesce(checked_in_at, now()) else checked_in_at end,
           started_at = case when $2 in ('booked', 'confirmed', 'checked_in') then null
                             when $2 = 'in_consultation' then coalesce(started_at, now()) else started_at end,
           completed_at = case when $2 = 'completed' then now() end,
           cancel_reason = case $2 when 'cancelled' then cancel_reason end,
           late_cancelled = $2 = 'cancelled' and late_cancelled
         where id = $1",
    )
    .bind(id)
    .bind(status.as_str())
    .execute(&mut **tx)
    .await?;
    by_id(tx, id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Cancels: the row stays, its claims are [`release`]d by the caller. Says, too, whether that was late by the clinic's rules.
pub async fn cancel(
    tx: &mut Tx,
    id: AppointmentId,
    reason: Option<&str>,
) -> sqlx::Result<(DateTime<Utc>, i64, bool)> {
    let now = tx.now();
    sqlx::query_as(
        "update appointments a set
           status = 'cancelled', cancel_reason = $2, version = a.version + 1, updated_at = now(),
           late_cancelled = $3 > lower(a.during) - make_interval(mins => r.late_cancel_minutes)
         from scheduling_rules r where a.id = $1 returning a.updated_at, a.version, a.late_cancelled",
    )
    .bind(id)
    .bind(reason)
    .bind(now)
    .fetch_one(&mut **tx)
    .await
}

/// The doctor's claims over a freed span that sit at or above the capacity, earliest booked first: candidates for promotion.
pub async fn overbooked_claims(
    tx: &mut Tx,
    doctor: DoctorId,
    freed: Span,
) -> sqlx::Result<Vec<(AppointmentId, DateTime<Utc>, DateTime<Utc>)>> {
    sqlx::query_as(
        "select c.appointment_id, lower(c.during), upper(c.during)
         from claims c join doctors d on d.id = c.subject_id
         where c.subject_id = $1 and c.seat >= d.capacity and c.during && tstzrange($2, $3) and c.appointment_id is not null
         order by c.seat, c.appointment_id for update of c",
    )
    .bind(doctor)
    .bind(freed.from)
    .bind(freed.to)
    .fetch_all(&mut **tx)
    .await
}

/// Moves a claim to another seat.
pub async fn reseat(
    tx: &mut Tx,
    id: AppointmentId,
    doctor: DoctorId,
    seat: i16,
) -> sqlx::Result<()> {
    sqlx::query("update claims set seat = $3 where appointment_id = $1 and subject_id = $2")
        .bind(id)
        .bind(doctor)
        .bind(seat)
        .execute(&mut **tx)
        .await
        .map(drop)
}
