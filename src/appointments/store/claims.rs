//! Claims: what visits and holds take, column by column, and how it is given back.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::appointments::fitting::Claim;
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{AppointmentId, DoctorId, HoldId};

/// Claims, column by column.
pub(super) struct Columns {
    pub subjects: Vec<Uuid>,
    pub seats: Vec<i16>,
    pub froms: Vec<DateTime<Utc>>,
    pub tos: Vec<DateTime<Utc>>,
}

impl Columns {
    pub fn of(claims: &[Claim]) -> Self {
        Self {
            subjects: claims.iter().map(|claim| claim.subject).collect(),
            seats: claims.iter().map(|claim| claim.seat).collect(),
            froms: claims.iter().map(|claim| claim.during.from).collect(),
            tos: claims.iter().map(|claim| claim.during.to).collect(),
        }
    }
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

/// Takes a hold's claims away, and gives them to whoever asked; none when there is no such hold.
pub async fn take_hold(tx: &mut Tx, id: HoldId) -> sqlx::Result<Vec<Claim>> {
    let taken: Vec<(Uuid, i16, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "delete from claims where hold_id = $1 returning subject_id, seat, lower(during), upper(during)",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    let claim = |(subject, seat, from, to)| Claim { subject, seat, during: Span::new(from, to) };
    Ok(taken.into_iter().map(claim).collect())
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

/// Gives a visit's time back.
pub async fn release(tx: &mut Tx, id: AppointmentId) -> sqlx::Result<()> {
    sqlx::query("delete from claims where appointment_id = $1")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map(drop)
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
