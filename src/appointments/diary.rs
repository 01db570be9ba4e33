//! What slots and bookings are decided by: when a doctor sits, what is taken of the doctor, the patient and the resources, and the
//! clinic's rules. Read in one statement: a booking holds its locks for few round trips.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::fitting::Claim;
use super::model::Kind;
use super::seats::Taken;
use crate::doctors::hours::{Sittings, Span};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId, ResourceId};
use crate::tenancy::pools::Conn;

/// Whose diary is asked for, and in which span.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub doctor: DoctorId,
    pub within: Span,
    pub kind: Kind,
    pub patient: Option<PatientId>,
    pub location: Option<LocationId>,
    pub resources: &'a [ResourceId],
    /// Claims of this visit are left out: it is about to move.
    pub except: Option<AppointmentId>,
}

impl Asked<'_> {
    /// What a doctor offers to anybody.
    pub fn of_slots(doctor: DoctorId, within: Span) -> Self {
        Self {
            doctor,
            within,
            kind: Kind::InPerson,
            patient: None,
            location: None,
            resources: &[],
            except: None,
        }
    }
}

/// The clinic's rules for visits of one kind.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Patients book no later than this before.
    pub lead_minutes: i32,
    /// And no more days ahead than this.
    pub horizon_days: Option<i32>,
    /// In place of the doctor's own.
    pub slot_minutes: Option<i32>,
    /// What the doctor and the resources are kept free before a visit, the way to it included.
    pub before_minutes: i32,
    pub after_minutes: i32,
}

#[derive(Clone, Debug)]
pub struct DoctorDiary {
    pub id: DoctorId,
    pub name: String,
    pub slot_minutes: i32,
    pub capacity: i16,
    pub max_per_day: Option<i32>,
    /// Only active doctors are booked.
    pub active: bool,
    pub sittings: Sittings,
}

#[derive(Clone, Debug)]
pub struct PatientDiary {
    pub id: PatientId,
    pub name: String,
}

#[derive(Clone, Debug, serde::Deserialize)]
pub struct ResourceDiary {
    pub id: ResourceId,
    pub capacity: i16,
    /// None: at every one.
    pub location_id: Option<LocationId>,
}

/// All that slots and bookings are decided by. What is not there is not in it.
#[derive(Clone, Debug)]
pub struct Diary {
    pub rules: Rules,
    pub doctor: Option<DoctorDiary>,
    pub patient: Option<PatientDiary>,
    pub resources: Vec<ResourceDiary>,
    /// False when a location is asked for that there is not.
    pub has_location: bool,
    /// The claims of all of them that stand.
    pub taken: Vec<(Uuid, Taken)>,
    /// True when a hold that has lapsed is in the way of the constraint: it is deleted before anything is claimed.
    pub has_lapsed: bool,
}

impl Diary {
    /// Notes what one more visit takes: the next one is judged beside it.
    pub fn take(&mut self, claims: &[Claim]) {
        let taken = |claim: &Claim| Taken { seat: claim.seat, span: claim.during };
        self.taken.extend(claims.iter().map(|claim| (claim.subject, taken(claim))));
    }
}

/// A doctor's number of visits a day is counted over whole days: claims are read so much further then.
/// (Sums of minutes, for `make_interval`.)
const DIARY: &str = "
select rules.lead_minutes, rules.horizon_days, rules.slot_minutes as kind_minutes, rules.before_minutes, rules.after_minutes,
       doctor.*, patient.full_name as patient_name, taken.*,
       $6::uuid is null or exists(select from locations where id = $6 and deleted_at is null) as has_location,
       (select coalesce(json_agg(json_build_object('id', r.id, 'capacity', r.capacity, 'location_id', r.location_id)), '[]')
        from resources r left join users u on u.id = r.user_id
        where r.id = any ($8) and r.deleted_at is null
          and (r.user_id is null or u.role = 'therapist' and u.status = 'active' and u.deleted_at is null)) as resources,
       (select coalesce(json_agg(json_build_object(
          'location_id', h.location_id, 'first_day', h.first_day, 'last_day', h.last_day)), '[]')
        from holidays h where h.last_day >= ($2 at time zone 'UTC')::date - 1
          and h.first_day <= ($3 at time zone 'UTC')::date + 1) as closed
from (select r.lead_minutes, r.horizon_days, r.max_per_day, k.slot_minutes,
             k.buffer_before_minutes + way.minutes as before_minutes, k.buffer_after_minutes + way.minutes as after_minutes
      from scheduling_rules r join kind_rules k on k.kind = $7,
           lateral (select case k.kind when 'home_visit' then r.travel_minutes else 0 end as minutes) as way) as rules
left join lateral (
  select u.full_name as doctor_name, d.slot_minutes, d.capacity, coalesce(d.max_per_day, rules.max_per_day) as max_per_day,
         u.status = 'active' and u.deleted_at is null as active,
         (select coalesce(json_agg(json_build_object(
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
          from time_off o where o.doctor_id = d.id and o.during && tstzrange($2, $3)) as time_off
  from doctors d join users u on u.id = d.id
  where d.id = $1 and d.deleted_at is null
) as doctor on true
left join patients as patient on patient.id = $5 and patient.deleted_at is null
left join lateral (
  select array_agg(c.subject_id) filter (where stands) as subjects, array_agg(c.seat) filter (where stands) as seats,
         array_agg(lower(c.during)) filter (where stands) as froms, array_agg(upper(c.during)) filter (where stands) as tos,
         bool_or(not stands) as has_lapsed
  from unnest($8::uuid[] || $1 || $5) as s (id)
       join claims c on c.subject_id = s.id and c.during && tstzrange(
         $2 - make_interval(mins => rules.before_minutes + case when doctor.max_per_day is null then 0 else 1800 end),
         $3 + make_interval(mins => rules.after_minutes + case when doctor.max_per_day is null then 0 else 1800 end)),
       lateral (select c.hold_until is null or c.hold_until > $9 as stands) as l
  where c.appointment_id is null or c.appointment_id is distinct from $4 -- a hold is no visit that moves
) as taken on true";

/// What stands in somebody's diary.
pub async fn read(conn: &mut Conn, asked: &Asked<'_>, now: DateTime<Utc>) -> sqlx::Result<Diary> {
    let row = sqlx::query(DIARY)
        .bind(asked.doctor)
        .bind(asked.within.from)
        .bind(asked.within.to)
        .bind(asked.except)
        .bind(asked.patient)
        .bind(asked.location)
        .bind(asked.kind.as_str())
        .bind(asked.resources)
        .bind(now)
        .fetch_one(conn)
        .await?;
    Ok(Diary {
        rules: Rules {
            lead_minutes: row.try_get("lead_minutes")?,
            horizon_days: row.try_get("horizon_days")?,
            slot_minutes: row.try_get("kind_minutes")?,
            before_minutes: row.try_get("before_minutes")?,
            after_minutes: row.try_get("after_minutes")?,
        },
        doctor: match row.try_get("doctor_name")? {
            Some(name) => Some(doctor(&row, asked.doctor, name)?),
            None => None,
        },
        patient: asked
            .patient
            .zip(row.try_get("patient_name")?)
            .map(|(id, name)| PatientDiary { id, name }),
        resources: row.try_get::<Json<_>, _>("resources")?.0,
        has_location: row.try_get("has_location")?,
        taken: taken(&row)?,
        has_lapsed: row.try_get::<Option<bool>, _>("has_lapsed")?.unwrap_or(false),
    })
}

fn doctor(row: &PgRow, id: DoctorId, name: String) -> sqlx::Result<DoctorDiary> {
    Ok(DoctorDiary {
        id,
        name,
        slot_minutes: row.try_get("slot_minutes")?,
        capacity: row.try_get("capacity")?,
        max_per_day: row.try_get("max_per_day")?,
        active: row.try_get("active")?,
        sittings: Sittings {
            hours: row.try_get::<Json<_>, _>("hours")?.0,
            extra: row.try_get::<Json<_>, _>("extra")?.0,
            closed: row.try_get::<Json<_>, _>("closed")?.0,
            time_off: row.try_get::<Json<_>, _>("time_off")?.0,
        },
    })
}

/// Columns of one length: a month of a busy doctor is read at half the cost of as many objects.
fn taken(row: &PgRow) -> sqlx::Result<Vec<(Uuid, Taken)>> {
    let Some(subjects) = row.try_get::<Option<Vec<Uuid>>, _>("subjects")? else {
        return Ok(Vec::new());
    };
    let seats: Vec<i16> = row.try_get("seats")?;
    let froms: Vec<DateTime<Utc>> = row.try_get("froms")?;
    let tos: Vec<DateTime<Utc>> = row.try_get("tos")?;
    let spans = froms.into_iter().zip(tos).map(|(from, to)| Span::new(from, to));
    let taken = seats.into_iter().zip(spans).map(|(seat, span)| Taken { seat, span });
    Ok(subjects.into_iter().zip(taken).collect())
}

/// A doctor's capacity, and the claims on him in a span but those of one visit.
pub async fn of_doctor(
    conn: &mut Conn,
    doctor: DoctorId,
    within: Span,
    except: AppointmentId,
    now: DateTime<Utc>,
) -> sqlx::Result<(i16, Vec<Taken>)> {
    let asked = Asked { except: Some(except), ..Asked::of_slots(doctor, within) };
    let Diary { doctor, taken, .. } = read(conn, &asked, now).await?;
    let taken = taken.into_iter().map(|(_, taken)| taken).collect();
    Ok((doctor.map_or(0, |doctor| doctor.capacity), taken))
}
