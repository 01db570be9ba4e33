//! A time that is given back is noted, in the transaction that gives it back: whoever has others waiting for one looks at it next
//! (a chore, so no restart loses it).

use crate::chores::{self, NewChore};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{DoctorId, FreedTimeId};

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
    let look = NewChore { name: NAME, subject_id: id.0, key: String::new(), due_at: now };
    chores::put(tx, &look).await
}
