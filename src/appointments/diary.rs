//! What slots and bookings are decided by: a doctor's hours, time off and claims, and the patient's claims beside them. Read
//! in one statement each, and by a booking all at once: it holds its locks for one round trip less.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::model::AppointmentRequest;
use super::seats::Taken;
use crate::doctors::hours::{Hours, Span};
use crate::ids::{AppointmentId, DoctorId};
use crate::tenancy::pools::Conn;

/// What a doctor's diary looks like in a span: all that slots and bookings are decided by.
pub struct Diary {
    pub doctor_name: String,
    pub slot_minutes: i32,
    pub capacity: i16,
    /// Only active doctors are booked.
    pub active: bool,
    pub hours: Vec<Hours>,
    pub time_off: Vec<Span>,
    pub taken: Vec<Taken>,
}

impl sqlx::FromRow<'_, PgRow> for Diary {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            doctor_name: row.try_get(0)?,
            slot_minutes: row.try_get(1)?,
            capacity: row.try_get(2)?,
            active: row.try_get(3)?,
            hours: row.try_get::<Json<_>, _>(4)?.0,
            time_off: row.try_get::<Json<_>, _>(5)?.0,
            taken: row.try_get::<Json<_>, _>(6)?.0,
        })
    }
}

/// A patient's name and claims in a span.
pub struct PatientDiary {
    pub patient_name: String,
    pub taken: Vec<Taken>,
}

/// The doctor `$1` between `$2` and `$3`; claims of the visit `$4` are left out, for it is about to move.
macro_rules! doctor {
    () => {
        "select u.full_name as doctor_name, d.slot_minutes, d.capacity,
                u.status = 'active' and u.deleted_at is null as active,
                (select coalesce(json_agg(json_build_object(
                   'location_id', h.location_id, 'time_zone', l.time_zone, 'weekday', h.weekday,
                   'starts_at', h.starts_at, 'ends_at', h.ends_at, 'breaks', h.breaks,
                   'valid_from', h.valid_from, 'valid_to', h.valid_to)), '[]')
                 from availability h join locations l on l.id = h.location_id and l.deleted_at is null
                 where h.doctor_id = d.id) as hours,
                (select coalesce(json_agg(json_build_object(
                   'from', lower(o.during), 'to', upper(o.during))), '[]')
                 from time_off o where o.doctor_id = d.id and o.during && tstzrange($2, $3)) as time_off,
                (select coalesce(json_agg(json_build_object(
                   'seat', c.seat, 'from', lower(c.during), 'to', upper(c.during))), '[]')
                 from claims c where c.subject_id = d.id and c.during && tstzrange($2, $3)
                   and c.appointment_id is distinct from $4) as taken
         from doctors d join users u on u.id = d.id
         where d.id = $1 and d.deleted_at is null"
    };
}

const DOCTOR: &str = doctor!();

/// Doctor and patient (`$5`), whichever exist, and whether there is a location `$6`, if one is asked for.
const OF_VISIT: &str = concat!(
    "select doctor.*, patient.*,
            $6::uuid is null or exists(select from locations where id = $6 and deleted_at is null) as has_location
     from (values (1)) as always (row) left join (",
    doctor!(),
    ") as doctor on true left join (
       select p.full_name as patient_name,
              (select coalesce(json_agg(json_build_object(
                 'seat', c.seat, 'from', lower(c.during), 'to', upper(c.during))), '[]')
               from claims c where c.subject_id = p.id and c.during && tstzrange($2, $3)
                 and c.appointment_id is distinct from $4) as patient_taken
       from patients p where p.id = $5 and p.deleted_at is null
     ) as patient on true"
);

/// The diary of a doctor in a span.
pub async fn of_doctor(
    conn: &mut Conn,
    doctor: DoctorId,
    within: Span,
    except: Option<AppointmentId>,
) -> sqlx::Result<Option<Diary>> {
    sqlx::query_as(DOCTOR)
        .bind(doctor)
        .bind(within.from)
        .bind(within.to)
        .bind(except)
        .fetch_optional(conn)
        .await
}

/// What a visit is decided by.
pub struct Diaries {
    pub doctor: Option<Diary>,
    pub patient: Option<PatientDiary>,
    /// False when a location is asked for that there is not.
    pub has_location: bool,
}

/// The diaries of whom a visit wants, in a span; claims of the visit `except` are left out, for it is about to move.
pub async fn of_visit(
    conn: &mut Conn,
    wanted: &AppointmentRequest,
    within: Span,
    except: Option<AppointmentId>,
) -> sqlx::Result<Diaries> {
    let row = sqlx::query(OF_VISIT)
        .bind(wanted.doctor_id)
        .bind(within.from)
        .bind(within.to)
        .bind(except)
        .bind(wanted.patient_id)
        .bind(wanted.location_id)
        .fetch_one(conn)
        .await?;
    let doctor = match row.try_get::<Option<String>, _>("doctor_name")? {
        Some(_) => Some(sqlx::FromRow::from_row(&row)?),
        None => None,
    };
    let patient = match row.try_get("patient_name")? {
        Some(patient_name) => {
            let taken = row.try_get::<Json<_>, _>("patient_taken")?.0;
            Some(PatientDiary { patient_name, taken })
        }
        None => None,
    };
    Ok(Diaries { doctor, patient, has_location: row.try_get("has_location")? })
}
