//! All SQL of the waitlist.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::line::Wish;
use super::model::{OfferView, Status, Waiting, WaitlistRequest, WaitlistView};
use super::reply::Offered;
use crate::appointments::Kind;
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{AppointmentId, DoctorId, FreedTimeId, HoldId, LocationId, PatientId, WaitlistId};
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for WaitlistView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let shown = |time: NaiveTime| time.format("%H:%M").to_string();
        let time =
            |name| Ok::<_, sqlx::Error>(row.try_get::<Option<NaiveTime>, _>(name)?.map(shown));
        let offer = match row.try_get("offer_id")? {
            None => None,
            Some(id) => Some(OfferView {
                id,
                doctor_id: row.try_get("offer_doctor_id")?,
                doctor_name: row.try_get("offer_doctor_name")?,
                location_id: row.try_get("offer_location_id")?,
                starts_at: row.try_get("offer_from")?,
                ends_at: row.try_get("offer_to")?,
                until: row.try_get("offer_until")?,
            }),
        };
        Ok(Self {
            id: row.try_get("id")?,
            patient_id: row.try_get("patient_id")?,
            patient_name: row.try_get("patient_name")?,
            doctor_id: row.try_get("doctor_id")?,
            doctor_name: row.try_get("doctor_name")?,
            specialty: row.try_get("specialty")?,
            location_id: row.try_get("location_id")?,
            kind: row.try_get("kind")?,
            duration_minutes: row.try_get::<Option<i32>, _>("duration_minutes")?.map(i64::from),
            weekdays: row.try_get("weekdays")?,
            from_time: time("from_time")?,
            to_time: time("to_time")?,
            first_day: row.try_get("first_day")?,
            last_day: row.try_get("last_day")?,
            reason: row.try_get("reason")?,
            address: row.try_get("address")?,
            status: row.try_get("shown_status")?,
            offer,
            appointment_id: row.try_get("appointment_id")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            version: row.try_get("version")?,
        })
    }
}

/// The columns of a view at an instant ($1), by the calendar of the location or else the clinic ($2). An offer that is over is
/// none, also before its end is on record.
macro_rules! view {
    ($rest:literal) => {
        concat!(
            "select * from (
               select w.*, p.full_name as patient_name, u.full_name as doctor_name,
                      o.id as offer_id, o.doctor_id as offer_doctor_id, ou.full_name as offer_doctor_name,
                      o.location_id as offer_location_id, lower(o.during) as offer_from, upper(o.during) as offer_to,
                      o.until as offer_until,
                      case when w.status <> 'waiting' then w.status
                           when o.id is not null then 'offered'
                           when w.last_day < ($1 at time zone coalesce(l.time_zone, $2))::date then 'expired'
                           else 'waiting' end as shown_status
               from waitlist w join patients p on p.id = w.patient_id
               left join users u on u.id = w.doctor_id left join locations l on l.id = w.location_id
               left join waitlist_offers o on o.waitlist_id = w.id and o.status = 'open' and o.until > $1
               left join users ou on ou.id = o.doctor_id) as w ",
            $rest
        )
    };
}

/// By whose clock and calendar a view is read.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: DateTime<Utc>,
    pub zone: Tz,
}

/// Which of those who wait, beside what drives the statement.
#[derive(Clone, Debug)]
pub struct Narrow {
    pub doctor: Option<DoctorId>,
    /// None: whoever waits yet, offered a time or not.
    pub status: Option<Status>,
    /// The last row of the page before.
    pub after: Option<(DateTime<Utc>, WaitlistId)>,
    pub limit: i64,
}

impl Narrow {
    fn statuses(&self) -> Vec<&'static str> {
        match self.status {
            Some(status) => vec![status.as_str()],
            None => vec![Status::Waiting.as_str(), Status::Offered.as_str()],
        }
    }

    fn cursor(&self) -> (DateTime<Utc>, WaitlistId) {
        self.after.unwrap_or((DateTime::UNIX_EPOCH, WaitlistId(uuid::Uuid::nil())))
    }
}

/// A patient's entries, in the order of the line.
pub async fn of_patient(
    conn: &mut Conn,
    now: Now,
    patient: PatientId,
    narrow: &Narrow,
) -> sqlx::Result<Vec<WaitlistView>> {
    let (at, id) = narrow.cursor();
    sqlx::query_as(view!(
        "where patient_id = $8 and (created_at, id) > ($3, $4) and shown_status = any ($5)
           and ($6::uuid is null or doctor_id = $6)
         order by created_at, id limit $7"
    ))
    .bind(now.at)
    .bind(now.zone.name())
    .bind(at)
    .bind(id)
    .bind(narrow.statuses())
    .bind(narrow.doctor)
    .bind(narrow.limit)
    .bind(patient)
    .fetch_all(conn)
    .await
}

/// Everybody's, in the order of the line.
pub async fn of_everybody(
    conn: &mut Conn,
    now: Now,
    narrow: &Narrow,
) -> sqlx::Result<Vec<WaitlistView>> {
    let (at, id) = narrow.cursor();
    let settled = matches!(narrow.status, Some(Status::Booked | Status::Withdrawn));
    let query = match settled {
        false => sqlx::query_as(view!(
            "where status = 'waiting' and (created_at, id) > ($3, $4) and shown_status = any ($5)
               and ($6::uuid is null or doctor_id = $6)
             order by created_at, id limit $7"
        )),
        true => sqlx::query_as(view!(
            "where status <> 'waiting' and status = ($5::text[])[1] and (created_at, id) > ($3, $4)
               and ($6::uuid is null or doctor_id = $6)
             order by created_at, id limit $7"
        )),
    };
    query
        .bind(now.at)
        .bind(now.zone.name())
        .bind(at)
        .bind(id)
        .bind(narrow.statuses())
        .bind(narrow.doctor)
        .bind(narrow.limit)
        .fetch_all(conn)
        .await
}

pub async fn by_id(
    conn: &mut Conn,
    now: Now,
    id: WaitlistId,
) -> sqlx::Result<Option<WaitlistView>> {
    sqlx::query_as(view!("where id = $3"))
        .bind(now.at)
        .bind(now.zone.name())
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Nobody else changes it, or what is offered to it, until this transaction ends.
pub async fn lock(tx: &mut Tx, id: WaitlistId) -> sqlx::Result<()> {
    sqlx::query("select from waitlist where id = $1 for update")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// How many entries of a patient's wait yet. (Civil days lie within a day of UTC's.)
pub async fn count_of(tx: &mut Tx, patient: PatientId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from waitlist
         where patient_id = $1 and status = 'waiting' and (last_day is null or last_day >= $2::date - 1)",
    )
    .bind(patient)
    .bind(now.date_naive())
    .fetch_one(&mut **tx)
    .await
}

/// Which of the patient, the doctor, the specialty and the location are there.
pub async fn known(tx: &mut Tx, new: &WaitlistRequest) -> sqlx::Result<(bool, bool, bool, bool)> {
    sqlx::query_as(
        "select exists(select from patients where id = $1 and deleted_at is null),
                $2::uuid is null or exists(
                  select from doctors d join users u on u.id = d.id
                  where d.id = $2 and d.deleted_at is null and u.deleted_at is null and u.status = 'active'),
                $3::text is null or exists(
                  select from doctors d, unnest(d.specialties) as s where d.deleted_at is null and lower(s) = lower($3)),
                $4::uuid is null or exists(select from locations where id = $4 and deleted_at is null)",
    )
    .bind(new.patient_id)
    .bind(new.doctor_id)
    .bind(&new.specialty)
    .bind(new.location_id)
    .fetch_one(&mut **tx)
    .await
}

pub async fn insert(tx: &mut Tx, id: WaitlistId, new: &WaitlistRequest) -> sqlx::Result<()> {
    let entered_by = tx.actor().account;
    sqlx::query(
        "insert into waitlist (id, patient_id, doctor_id, specialty, location_id, kind, duration_minutes, weekdays,
                               from_time, to_time, first_day, last_day, reason, address, entered_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(id)
    .bind(new.patient_id)
    .bind(new.doctor_id)
    .bind(&new.specialty)
    .bind(new.location_id)
    .bind(new.kind.unwrap_or(Kind::InPerson).as_str())
    .bind(new.duration_minutes.map(|minutes| minutes as i32))
    .bind(&new.wish.weekdays)
    .bind(new.wish.from_time)
    .bind(new.wish.to_time)
    .bind(new.wish.first_day)
    .bind(new.wish.last_day)
    .bind(new.reason.as_deref().unwrap_or_default())
    .bind(new.address.as_deref().unwrap_or_default())
    .bind(entered_by)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// What came of it: a visit, or nothing.
pub async fn settle(tx: &mut Tx, id: WaitlistId, visit: Option<AppointmentId>) -> sqlx::Result<()> {
    sqlx::query(
        "update waitlist set status = case when $2::uuid is null then 'withdrawn' else 'booked' end,
                             appointment_id = $2, version = version + 1, updated_at = now()
         where id = $1",
    )
    .bind(id)
    .bind(visit)
    .execute(&mut **tx)
    .await
    .map(drop)
}

// ── freed times ──

/// Whose time it is, and which; none: somebody has looked.
pub async fn freed(conn: &mut Conn, id: FreedTimeId) -> sqlx::Result<Option<(DoctorId, Span)>> {
    let found: Option<(DoctorId, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select doctor_id, lower(during), upper(during) from freed_times where id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|(doctor, from, to)| (doctor, Span::new(from, to))))
}

/// There is nobody left to offer it to.
pub async fn forget_freed(conn: &mut Conn, id: FreedTimeId) -> sqlx::Result<()> {
    let conn = conn.never_repeat();
    sqlx::query("delete from freed_times where id = $1").bind(id).execute(conn).await.map(drop)
}

impl sqlx::FromRow<'_, PgRow> for Waiting {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            patient_id: row.try_get("patient_id")?,
            location_id: row.try_get("location_id")?,
            kind: row.try_get("kind")?,
            duration_minutes: row.try_get::<Option<i32>, _>("duration_minutes")?.map(i64::from),
            wish: Wish {
                weekdays: row.try_get("weekdays")?,
                from_time: row.try_get("from_time")?,
                to_time: row.try_get("to_time")?,
                first_day: row.try_get("first_day")?,
                last_day: row.try_get("last_day")?,
            },
            reason: row.try_get("reason")?,
            address: row.try_get("address")?,
            had: row.try_get("had")?,
            considers: row.try_get("considers")?,
        })
    }
}

/// Who waits for a time of this doctor's on about that day and can be told, first come first. (Civil days lie within a day of
/// UTC's.)
pub async fn waiting(conn: &mut Conn, doctor: DoctorId, freed: Span) -> sqlx::Result<Vec<Waiting>> {
    let days: (NaiveDate, NaiveDate) = (freed.from.date_naive(), freed.to.date_naive());
    sqlx::query_as(
        "select w.*, array(select lower(h.during) from waitlist_offers h
                           where h.patient_id = w.patient_id and h.doctor_id = $1) as had,
                exists(select from waitlist_offers o where o.patient_id = w.patient_id and o.status = 'open') as considers
         from waitlist w join patients p on p.id = w.patient_id and p.deleted_at is null
         where w.status = 'waiting' and (p.phone is not null or p.email is not null)
           and coalesce((select c.granted from consents c where c.patient_id = p.id and c.kind = 'service' and c.channel is null
                         order by c.at desc limit 1), true)
           and (w.doctor_id = $1 or w.specialty is not null and exists(
             select from doctors d, unnest(d.specialties) as s where d.id = $1 and lower(s) = lower(w.specialty)))
           and (w.last_day is null or w.last_day >= $2::date - 1)
           and (w.first_day is null or w.first_day <= $3::date + 1)
         order by w.created_at, w.id",
    )
    .bind(doctor)
    .bind(days.0)
    .bind(days.1)
    .fetch_all(conn)
    .await
}

// ── offers ──

/// Whether he waits and has no offer. Who asks holds the lock of the patient, whom nobody else can make an offer then; the row is
/// locked against who takes it off the list.
pub async fn still_waits(tx: &mut Tx, id: WaitlistId) -> sqlx::Result<bool> {
    let waits: Option<bool> = sqlx::query_scalar(
        "select status = 'waiting' and not exists(
           select from waitlist_offers o where o.patient_id = w.patient_id and o.status = 'open')
         from waitlist w where id = $1 for update of w",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(waits.unwrap_or(false))
}

/// For how many minutes a time is kept, and how late before it patients may book at all.
pub async fn rules(conn: &mut Conn) -> sqlx::Result<(i32, i32)> {
    sqlx::query_as("select hold_minutes, lead_minutes from scheduling_rules").fetch_one(conn).await
}

/// An offer that is made.
pub struct NewOffer {
    pub id: HoldId,
    pub waitlist_id: WaitlistId,
    pub patient_id: PatientId,
    pub doctor_id: DoctorId,
    pub location_id: LocationId,
    pub span: Span,
    pub until: DateTime<Utc>,
}

pub async fn insert_offer(tx: &mut Tx, offer: &NewOffer) -> sqlx::Result<()> {
    sqlx::query(
        "insert into waitlist_offers (id, waitlist_id, patient_id, doctor_id, location_id, during, until)
         values ($1, $2, $8, $3, $4, tstzrange($5, $6), $7)",
    )
    .bind(offer.id)
    .bind(offer.waitlist_id)
    .bind(offer.doctor_id)
    .bind(offer.location_id)
    .bind(offer.span.from)
    .bind(offer.span.to)
    .bind(offer.until)
    .bind(offer.patient_id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// An offer by its id, with whom it is for.
pub async fn offered(conn: &mut Conn, id: HoldId) -> sqlx::Result<Option<Offered>> {
    sqlx::query_as(
        "select o.id, o.waitlist_id, o.doctor_id, o.location_id, lower(o.during) as starts_at,
                upper(o.during) as ends_at, o.until, o.status, o.patient_id, w.kind, w.reason, w.address,
                u.full_name as doctor_name, l.name as location_name, l.time_zone,
                coalesce(o.status = 'accepted' and a.status not in ('cancelled', 'no_show')
                         and a.doctor_id = o.doctor_id and lower(a.during) = lower(o.during), false) as stands
         from waitlist_offers o join waitlist w on w.id = o.waitlist_id left join appointments a on a.id = w.appointment_id
         join users u on u.id = o.doctor_id join locations l on l.id = o.location_id
         where o.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Ends an offer; false when it had ended.
pub async fn end_offer(tx: &mut Tx, id: HoldId, how: &str) -> sqlx::Result<bool> {
    let ended = sqlx::query(
        "update waitlist_offers set status = $2, ended_at = now() where id = $1 and status = 'open'",
    )
    .bind(id)
    .bind(how)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected() > 0)
}
