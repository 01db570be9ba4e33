//! Running processes sign in centrally. One that falls silent without a goodbye may have died owing a hint, so its
//! burial has every clinic swept soon.

use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

/// How often each instance signs in.
pub const SIGN_IN_EVERY: Duration = Duration::from_secs(10);

/// Silent for this long is dead. One that lives after all signs in again; burying it cost a sweep.
pub const DEAD_AFTER: Duration = Duration::from_secs(40);

/// Says that this instance lives.
pub async fn sign_in(central: impl PgExecutor<'_>, instance_id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "insert into instances (id) values ($1)
         on conflict (id) do update set seen_at = now()",
    )
    .bind(instance_id)
    .execute(central)
    .await?;
    Ok(())
}

/// Says goodbye. Only for one that owes no hint.
pub async fn sign_out(central: impl PgExecutor<'_>, instance_id: Uuid) -> sqlx::Result<()> {
    sqlx::query("delete from instances where id = $1").bind(instance_id).execute(central).await?;
    Ok(())
}

/// Removes the instances that fell silent and, in the same statement so that a crash cannot come between, has every
/// clinic swept within ten minutes (R). How many were dead.
pub async fn bury(central: impl PgExecutor<'_>, silent_for: Duration) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "with dead as (
           delete from instances where seen_at < now() - make_interval(secs => $1) returning id),
         locked as (
           select clinic_id from wakeups where exists (select from dead)
           order by clinic_id for update),
         swept as (
           update wakeups w set sweep_at = least(w.sweep_at, now() + random() * interval '10 min')
           from locked where w.clinic_id = locked.clinic_id)
         select count(*) from dead",
    )
    .bind(silent_for.as_secs_f64())
    .fetch_one(central)
    .await
}
