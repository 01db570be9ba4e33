//! A doctor's weekly hours, replaced as a whole.

use serde_json::json;

use super::availability::{Line, LineView};
use super::store;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::ids::DoctorId;

/// Replaces all the hours of a doctor, whose lock the transaction holds; what stands then, and the doctor's tag. The lines have
/// been checked: what they say of each other is the constraint's to refuse.
pub async fn replace_hours(
    tx: &mut Tx,
    doctor: DoctorId,
    lines: &[Line],
) -> sqlx::Result<(Vec<LineView>, i64)> {
    let stood = store::availability(tx, doctor).await?;
    store::clear_availability(tx, doctor).await?;
    store::insert_availability(tx, doctor, lines).await?;
    let version = store::touch(tx, doctor).await?;
    let items = store::availability(tx, doctor).await?;
    let act = Act::new("doctor.hours_changed", "doctor", doctor);
    audit::record(tx, act.details(json!({ "from": stood, "to": items }))).await?;
    Ok((items, version))
}
