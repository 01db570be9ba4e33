//! Looks for what must not be: something taken twice. It leans on no index and on no code that books, for it is there to find
//! what they let through; `nadi doctor` runs it for every clinic.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::time;

/// How many of a clinic's faults are named.
const MOST_NAMED: i64 = 20;

/// Something that must not be.
#[derive(Debug, sqlx::FromRow)]
pub struct Fault {
    /// What is wrong, in words.
    pub what: String,
    /// Whose time it is: a doctor's, a patient's or a resource's.
    pub subject_id: Uuid,
    /// The visit by its number; none for a time that is held.
    pub visit: Option<String>,
    pub at: DateTime<Utc>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visit = self.visit.as_deref().unwrap_or("a held time");
        let (at, subject) = (time::show(self.at), self.subject_id);
        write!(f, "{visit} at {at} of {subject}: {}", self.what)
    }
}

/// All that is taken twice, or stands without what it should have taken, up to [`MOST_NAMED`].
///
/// - Two claims of one seat overlap: the constraint is gone, or its index is broken.
/// - A visit that stands has no claim of its doctor, its patient or a resource that covers it; one that was cancelled or missed
///   has one yet.
/// - A visit still to come sits beyond its subject's capacity, and nobody overbooked it (or the capacity was lowered since).
///
/// # Errors
/// The database's.
pub async fn verify(conn: &mut PgConnection) -> sqlx::Result<Vec<Fault>> {
    sqlx::query_as(
        "with in_order as (
           select appointment_id, subject_id, during, max(upper(during)) over (
                    partition by subject_id, seat order by lower(during), upper(during)
                    rows between unbounded preceding and 1 preceding) as taken_until
           from claims),
         wanted as (
           select a.id, a.during, a.number, s.subject_id
           from appointments a cross join lateral unnest(array[a.doctor_id, a.patient_id] || a.resource_ids) as s (subject_id)
           where a.status not in ('cancelled', 'no_show')),
         capacities as (
           select id, capacity from doctors union all select id, 1 from patients
           union all select id, capacity from resources r where not exists (select from doctors d where d.id = r.id)),
         faults as (
           select 'overlaps another that has the same seat' as what, c.subject_id, a.number as visit, lower(c.during) as at
           from in_order c left join appointments a on a.id = c.appointment_id where lower(c.during) < c.taken_until
           union all
           select 'stands without a claim', w.subject_id, w.number, lower(w.during)
           from wanted w where not exists (
             select from claims c where c.appointment_id = w.id and c.subject_id = w.subject_id and c.during @> w.during)
           union all
           select 'is ' || a.status || ' and keeps its claim', c.subject_id, a.number, lower(c.during)
           from claims c join appointments a on a.id = c.appointment_id where a.status in ('cancelled', 'no_show')
           union all
           select 'is one more than there are seats', c.subject_id, a.number, lower(c.during)
           from claims c join appointments a on a.id = c.appointment_id join capacities k on k.id = c.subject_id
           where c.seat >= k.capacity and a.overbook_reason is null and upper(a.during) > now())
         select what, subject_id, visit, at from faults order by at, visit, what limit $1",
    )
    .bind(MOST_NAMED)
    .fetch_all(conn)
    .await
}
