//! Hours that a doctor gains are offered to those who wait, as a time is that was given back.

use super::hours::{But, Open, cut};
use super::sittings;
use crate::db::Tx;
use crate::ids::DoctorId;
use crate::scheduling::freed;
use crate::time::Span;

/// When doctors sat before a change of their hours, or of the clinic's holidays. Only those for whom anybody waits: else a whole
/// clinic's new hours would be noted for nobody.
pub struct Before {
    within: Span,
    open: Vec<(DoctorId, Vec<Open>)>,
}

/// To be read before the change, in its transaction, which is one opened for telling. The change matters `within` this.
pub async fn before(tx: &mut Tx, doctors: &[DoctorId], within: Span) -> sqlx::Result<Before> {
    let mut open = Vec::new();
    for doctor in awaited(tx, doctors).await? {
        open.push((doctor, opened(tx, doctor, within).await?));
    }
    Ok(Before { within, open })
}

impl Before {
    /// After the change: notes the times at which they sit now and did not before.
    pub async fn note_gained(self, tx: &mut Tx) -> sqlx::Result<()> {
        for (doctor, before) in self.open {
            let after = opened(tx, doctor, self.within).await?;
            for span in gained(&before, &after) {
                freed::note(tx, doctor, span).await?;
            }
        }
        Ok(())
    }
}

/// Those of the doctors for whom, or for whose specialty perhaps, somebody waits.
async fn awaited(tx: &mut Tx, doctors: &[DoctorId]) -> sqlx::Result<Vec<DoctorId>> {
    sqlx::query_scalar(
        "select d.id from unnest($1::uuid[]) as d (id)
         where exists(select from waitlist w where w.status = 'waiting' and (w.doctor_id is null or w.doctor_id = d.id))",
    )
    .bind(doctors)
    .fetch_all(&mut **tx)
    .await
}

async fn opened(tx: &mut Tx, doctor: DoctorId, within: Span) -> sqlx::Result<Vec<Open>> {
    Ok(sittings::read(tx, doctor, within).await?.open(within, But::Nothing))
}

/// What of the stretches after lies in none of those before, at the same location.
fn gained(before: &[Open], after: &[Open]) -> Vec<Span> {
    let less = |after: &Open| {
        let there = before.iter().filter(|before| before.location_id == after.location_id);
        there.fold(vec![after.span], |left, before| cut(left, before.span))
    };
    after.iter().flat_map(less).collect()
}
