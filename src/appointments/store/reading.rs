//! What is read of visits. Each driving filter of the list is a static statement of its own: with generic plans, one statement for
//! all of them would read the whole table.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::appointments::model::{AppointmentView, Status, Taken};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{AccountId, AppointmentId, DoctorId, LocationId, PatientId, SeriesId};
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
                token: row.try_get(24)?,
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
                    a.checked_in_at, a.started_at, a.completed_at, a.late_cancelled, a.series_id,
                    a.queue_number
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

pub async fn location_zone(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select time_zone from locations where id = $1 and deleted_at is null")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Where video visits take place, and how many minutes before one its door opens. None: they have no link.
pub async fn video_rules(conn: &mut Conn) -> sqlx::Result<Option<(String, i32)>> {
    sqlx::query_as(
        "select video_base_url, video_opens_minutes from scheduling_rules where video_base_url is not null",
    )
    .fetch_optional(conn)
    .await
}

/// A visit of a patient's in that span that is still to be, or under way.
pub async fn visit_of_patient(
    tx: &mut Tx,
    patient: PatientId,
    span: Span,
) -> sqlx::Result<Option<AppointmentId>> {
    sqlx::query_scalar(
        "select a.id from claims c join appointments a on a.id = c.appointment_id
         where c.subject_id = $1 and c.during && tstzrange($2, $3) and a.status <> 'completed'
         order by lower(c.during) limit 1",
    )
    .bind(patient)
    .bind(span.from)
    .bind(span.to)
    .fetch_optional(&mut **tx)
    .await
}

/// When a visit's patient will not come any more by the clinic's rules, and whether that is now; none where the clinic marks nobody.
/// Who came late and was let in after all has as long again to be checked in.
pub async fn missed_at(
    tx: &mut Tx,
    id: AppointmentId,
) -> sqlx::Result<Option<(DateTime<Utc>, bool)>> {
    sqlx::query_as(
        "select missed_at, missed_at <= now()
         from (select greatest(lower(a.during), (select max(c.at) from appointment_changes c
                                                 where c.appointment_id = a.id and c.what = 'reopened'))
                        + make_interval(mins => r.no_show_after_minutes) as missed_at
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
