//! A time that is given back is noted, in the transaction that gives it back: whoever has others waiting for one looks at it next
//! (a chore, so no restart loses it).

use crate::chores::{self, NewChore};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{DoctorId, FreedTimeId, HoldId};

/// The name of the chore of a freed time. Its subject is the time's row.
pub const NAME: &str = "time_freed";

/// Notes it, unless it is over. The transaction is one opened for telling.
///
/// # Errors
/// The database's.
pub async fn note(tx: &mut Tx, doctor: DoctorId, during: Span) -> sqlx::Result<()> {
    let now = tx.now();
    if during.to <= now {
        return Ok(());
    }
    let id = FreedTimeId::new();
    sqlx::query(
        "insert into freed_times (id, doctor_id, during) values ($1, $2, tstzrange($3, $4))",
    )
    .bind(id)
    .bind(doctor)
    .bind(during.from)
    .bind(during.to)
    .execute(&mut **tx)
    .await?;
    look_at(tx, id, String::new()).await
}

/// Has all that is free yet looked at again: somebody who was considering another time is in the line again. `why` tells this
/// occasion from others.
///
/// # Errors
/// The database's.
pub async fn look_again(tx: &mut Tx, why: HoldId) -> sqlx::Result<()> {
    let left: Vec<FreedTimeId> = sqlx::query_scalar(
        "select id from freed_times where upper(during) > $1 order by freed_at, id",
    )
    .bind(tx.now())
    .fetch_all(&mut **tx)
    .await?;
    for id in left {
        look_at(tx, id, why.to_string()).await?;
    }
    Ok(())
}

async fn look_at(tx: &mut Tx, id: FreedTimeId, key: String) -> sqlx::Result<()> {
    let look = NewChore { name: NAME, subject_id: id.0, key, due_at: tx.now() };
    chores::put(tx, &look).await
}
