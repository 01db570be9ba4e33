//! The door of a video visit: a link to a room that nobody can guess, shown from shortly before the visit until its end.

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{AppointmentView, Kind, Status};
use super::store;
use crate::crypto::{ClinicKeys, mac};
use crate::ids::AppointmentId;
use crate::tenancy::pools::Conn;

/// No door opens earlier than this before a visit.
const EARLIEST: TimeDelta = TimeDelta::days(1);

/// Shows the links of those visits whose doors are open. The clinic's rules are read only if some may be.
pub async fn show_doors(
    conn: &mut Conn,
    keys: &ClinicKeys,
    visits: &mut [AppointmentView],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if !visits.iter().any(|visit| is_open(visit, EARLIEST, now)) {
        return Ok(());
    }
    let Some((base_url, minutes)) = store::video_rules(conn).await? else { return Ok(()) };
    let before = TimeDelta::minutes(i64::from(minutes));
    for visit in visits.iter_mut().filter(|visit| is_open(visit, before, now)) {
        let base_url = base_url.trim_end_matches('/');
        visit.join_url = Some(format!("{base_url}/{}", room(keys, visit.id)));
    }
    Ok(())
}

fn is_open(visit: &AppointmentView, before: TimeDelta, now: DateTime<Utc>) -> bool {
    let over = matches!(visit.status, Status::Completed | Status::Cancelled | Status::NoShow);
    visit.kind == Kind::Video && !over && visit.starts_at - before <= now && now < visit.ends_at
}

/// 128 bits that only the clinic's key tells.
fn room(keys: &ClinicKeys, id: AppointmentId) -> String {
    mac(&keys.video_rooms, id.0.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
