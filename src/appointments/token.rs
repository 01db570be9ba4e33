//! The number by which a patient is called: given at checking in, from 1 for each doctor, location and civil day there.

use serde_json::json;

use super::model::{AppointmentView, Kind};
use crate::db::Tx;
use crate::live;

/// Gives a visit its token, or the one that it had there before. The transaction holds the lock of the doctor, so numbers have no
/// gaps; that none is given twice is the table's own rule. Nobody waits at the clinic for a home visit.
pub(super) async fn give(tx: &mut Tx, visit: &AppointmentView) -> sqlx::Result<Option<i32>> {
    if visit.kind == Kind::HomeVisit {
        return Ok(None);
    }
    let number: i32 = sqlx::query_scalar(
        "with given as (
           insert into queue_tokens (doctor_id, location_id, day, number, appointment_id)
           select q.doctor_id, q.location_id, q.day,
                  (select coalesce(max(t.number), 0) + 1 from queue_tokens t
                   where t.doctor_id = q.doctor_id and t.location_id = q.location_id and t.day = q.day), $1
           from (select a.doctor_id, a.location_id, (lower(a.during) at time zone l.time_zone)::date as day
                 from appointments a join locations l on l.id = a.location_id where a.id = $1) as q
           on conflict on constraint queue_tokens_visit_key do update
             set state = 'waiting', calls = 0, called_at = null, skips = 0, skipped_after = null,
                 version = queue_tokens.version + 1
           returning number)
         update appointments set queue_number = given.number from given where id = $1 returning queue_number",
    )
    .bind(visit.id)
    .fetch_one(&mut **tx)
    .await?;
    let event = live::Event {
        kind: "queue.joined",
        appointment_id: Some(visit.id),
        doctor_id: Some(visit.doctor_id),
        patient_id: Some(visit.patient_id),
        location_id: Some(visit.location_id),
        also: &[],
        details: json!({ "token": number }),
    };
    live::note(tx, event).await?;
    Ok(Some(number))
}
