//! What a visit has ahead of it: its reminders, and the chore that marks who did not come. Both are rows of the outbox, put and
//! withdrawn in the transaction of the change that they follow from.

use super::model::AppointmentView;
use crate::db::Tx;
use crate::ids::new_uuid;

/// The clinic's rules allow five reminders; the chore comes on top.
const MOST: usize = 6;

/// An id for each row that there may be: messages are listed by theirs, so PostgreSQL's own would not do.
pub(super) fn ids() -> Vec<uuid::Uuid> {
    (0..MOST).map(|_| new_uuid()).collect()
}

/// Puts them for the visit, patient, location and start in these parameters; version and ids come last. Reminders whose time has
/// come already are left out, and none is of use once the next one is due. Each leaves up to twenty minutes earlier than the
/// rules say, the same for the same visit, so that ten o'clock is no burst. One that leaves on the visit's own day says so. The
/// chore is due some time after the **start**: then somebody who waits may have the rest of the time.
macro_rules! statement {
    ($visit:literal, $patient:literal, $location:literal, $starts_at:literal, $version:literal, $ids:literal) => {
        concat!(
            "insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
             select (", $ids, "::uuid[])[(row_number() over (order by due_at))::int], purpose,
                    purpose || ':' || ", $visit, "::text || ':' || ", $version, "::text || ':' || minutes, ",
                    $visit, ", patient_id, due_at, expires_at
             from scheduling_rules rules join locations l on l.id = ", $location, "
             cross join lateral (
               select case when (due_at at time zone l.time_zone)::date = (", $starts_at, " at time zone l.time_zone)::date
                           then 'appointment.reminder_2h' else 'appointment.reminder_24h' end as purpose,
                      minutes, ", $patient, "::uuid as patient_id, due_at,
                      coalesce(lead(due_at) over (order by due_at), ", $starts_at, ") as expires_at
               from (select minutes, ", $starts_at, " - make_interval(mins => minutes,
                              secs => abs(hashtext(", $visit, "::text)::bigint) % least(1200, minutes * 5)) as due_at
                     from (select distinct minutes from unnest(rules.reminder_minutes) as minutes) as all_of_them) as reminders
               where due_at > now()
               union all
               select 'chore.no_show', rules.no_show_after_minutes, null,
                      ", $starts_at, " + make_interval(mins => rules.no_show_after_minutes),
                      greatest(", $starts_at, ", now()) + interval '90 days'
               where rules.no_show_after_minutes is not null) as ahead"
        )
    };
}
pub(super) use statement;

/// Puts what a visit has ahead of it now. The transaction is one opened for telling.
pub(super) async fn put(tx: &mut Tx, visit: &AppointmentView) -> sqlx::Result<()> {
    sqlx::query(statement!("$1", "$2", "$3", "$4::timestamptz", "$5", "$6"))
        .bind(visit.id)
        .bind(visit.patient_id)
        .bind(visit.location_id)
        .bind(visit.starts_at)
        .bind(visit.version)
        .bind(ids())
        .execute(&mut **tx)
        .await
        .map(drop)
}
