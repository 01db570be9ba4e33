//! The wake-up ledger's central statements, one function each (docs/architecture.md, the ledger). No transaction spans
//! the ledger and an outbox, so it is the order of steps that keeps messages: see `worker` and `hinter`.
//! Lowering `due_at` is always safe, for anybody; only `write_back` and `unreachable`, fenced by a token, may raise it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgExecutor;
use uuid::Uuid;

/// A worker's right to look after a clinic, until central's clock says otherwise.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Lease {
    pub clinic_id: Uuid,
    /// Random and new at each lease, so that a late worker's write never lands on another's.
    pub lease_token: Uuid,
    /// The hint counter when it was last read, at the lease or by a heartbeat before the gate was asked.
    pub hints: i64,
    /// Nothing was due: only the hourly sweep led here. It should never find anything.
    pub swept: bool,
}

/// H: there is, or soon will be, something to do at these clinics. One statement for many, in the order of their ids
/// so that two of them never wait for each other in a circle. A clinic that is gone is passed over.
pub async fn hint(
    central: impl PgExecutor<'_>,
    graces: &BTreeMap<Uuid, Duration>,
) -> sqlx::Result<()> {
    let clinic_ids: Vec<Uuid> = graces.keys().copied().collect();
    let graces: Vec<f64> = graces.values().map(Duration::as_secs_f64).collect();
    sqlx::query(
        "insert into wakeups as w (clinic_id, due_at, hints)
         select u.clinic_id, now() + make_interval(secs => u.grace), 1
         from unnest($1::uuid[], $2::float8[]) as u (clinic_id, grace)
         join clinics on clinics.id = u.clinic_id
         order by u.clinic_id
         on conflict (clinic_id) do update set
           hints = w.hints + 1,
           due_at = least(w.due_at, excluded.due_at)",
    )
    .bind(clinic_ids)
    .bind(graces)
    .execute(central)
    .await?;
    Ok(())
}

/// L: takes up to `limit` clinics that are due, longest due first, and leaves their wake-ups as they are. Clinics that are
/// not open are passed over: their wake-ups stand until they are.
pub async fn lease(
    central: impl PgExecutor<'_>,
    limit: i64,
    lasts: Duration,
    instance_id: Uuid,
) -> sqlx::Result<Vec<Lease>> {
    sqlx::query_as(
        "with c as (
           select d.clinic_id, d.due_at > now() as swept
           from wakeups d join clinics on clinics.id = d.clinic_id
           where least(d.due_at, d.sweep_at) <= now() and d.leased_until <= now()
             and clinics.status = 'active'
           order by least(d.due_at, d.sweep_at) limit $1
           for update of d skip locked)
         update wakeups w set
           lease_token = gen_random_uuid(),
           leased_until = now() + make_interval(secs => $2),
           leased_by = $3
         from c where w.clinic_id = c.clinic_id
         returning w.clinic_id, w.lease_token, w.hints, c.swept",
    )
    .bind(limit)
    .bind(lasts.as_secs_f64())
    .bind(instance_id)
    .fetch_all(central)
    .await
}

/// B: keeps the lease, and reads the hint counter. `None`: the lease is lost; start no further send, write nothing back.
///
/// The counter may replace the lease's own only until the gate has been asked.
pub async fn heartbeat(
    central: impl PgExecutor<'_>,
    lease: &Lease,
    lasts: Duration,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "update wakeups set leased_until = now() + make_interval(secs => $3)
         where clinic_id = $1 and lease_token = $2
         returning hints",
    )
    .bind(lease.clinic_id)
    .bind(lease.lease_token)
    .bind(lasts.as_secs_f64())
    .fetch_optional(central)
    .await
}

/// W: ends the look, and says when the next one is due: when the clinic's next row is, and soon if somebody was inside
/// the gate or hinted since. False: the lease was another's by then, and nothing was written.
pub async fn write_back(
    central: impl PgExecutor<'_>,
    lease: &Lease,
    gate_free: bool,
    next_in: Option<TimeDelta>,
    grace: Duration,
) -> sqlx::Result<bool> {
    // Not `greatest(next_in, '0')`: that is '0' when nothing is next, and an idle clinic would be looked at for ever.
    let written = sqlx::query(
        "update wakeups set
           due_at = coalesce(
             least(now() + case when make_interval(secs => $5) < interval '0' then interval '0'
                                else make_interval(secs => $5) end,
                   case when hints = $3 and $4 then null else now() + make_interval(secs => $6) end),
             'infinity'),
           sweep_at = now() + interval '55 min' + random() * interval '10 min',
           leased_until = '-infinity', lease_token = null, leased_by = null, failures = 0
         where clinic_id = $1 and lease_token = $2",
    )
    .bind(lease.clinic_id)
    .bind(lease.lease_token)
    .bind(lease.hints)
    .bind(gate_free)
    .bind(next_in.map(TimeDelta::as_seconds_f64))
    .bind(grace.as_secs_f64())
    .execute(central)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// F: the clinic's database does not answer, so nothing is known of it; tries again after a pause that doubles up to
/// five minutes. Whoever sees the clinic answer again hints, with no grace.
pub async fn unreachable(central: impl PgExecutor<'_>, lease: &Lease) -> sqlx::Result<bool> {
    let written = sqlx::query(
        "update wakeups set
           failures = failures + 1,
           leased_until = '-infinity', lease_token = null, leased_by = null,
           due_at = now() + least(interval '5 min', interval '1 s' * 2 ^ least(failures, 9))
                          * (0.5 + random() / 2),
           sweep_at = greatest(sweep_at, now() + interval '5 min')
         where clinic_id = $1 and lease_token = $2",
    )
    .bind(lease.clinic_id)
    .bind(lease.lease_token)
    .execute(central)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// A clinic is open again: a hint with no grace, in the transaction that opens it. Its wake-up stood all the while, but
/// whoever was looking when it closed may have put it off. If its row is missing, E gives it one.
pub async fn reopened(central: impl PgExecutor<'_>, clinic_id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "update wakeups set hints = hints + 1, due_at = least(due_at, now()) where clinic_id = $1",
    )
    .bind(clinic_id)
    .execute(central)
    .await?;
    Ok(())
}

/// E: gives a row to each clinic that has none, due for a sweep at once. Hourly, at start, after a restore.
pub async fn add_missing(central: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let added = sqlx::query(
        "insert into wakeups (clinic_id) select id from clinics order by id on conflict do nothing",
    )
    .execute(central)
    .await?;
    Ok(added.rows_affected())
}

/// R: has every clinic swept within ten minutes, for hints may have been lost: central was restored, or failed over
/// with loss. (Of instances that died, `instances::bury` takes care.) Locks in the order of ids, as hints do.
pub async fn sweep_soon(central: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let swept = sqlx::query(
        "with locked as (select clinic_id from wakeups order by clinic_id for update)
         update wakeups w set sweep_at = least(w.sweep_at, now() + random() * interval '10 min')
         from locked where w.clinic_id = locked.clinic_id",
    )
    .execute(central)
    .await?;
    Ok(swept.rows_affected())
}
