//! What a patient answers to a message, without signing in: that he will come, or that he will not. For whoever knows that the
//! message was his (`respond/`).

use chrono::{DateTime, Utc};

use super::cancel::{CancelError, cancel};
use super::model::{AppointmentView, Status, Step};
use super::steps::{StepError, take};
use super::store;
use crate::db::Tx;
use crate::ids::{AppointmentId, LocationId};
use crate::tenancy::pools::Conn;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Confirm,
    Cancel,
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replied {
    Done,
    /// It was so before: a second press changes nothing.
    AlreadySo,
    /// The visit is at another time by now: he has not answered to that.
    Moved,
    /// It has begun, or its time is over.
    Begun,
    /// It is too far on for that.
    Stands(Status),
}

/// A visit, as one who answers is shown it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub visit: AppointmentView,
    pub location_name: String,
    pub time_zone: String,
}

/// A visit by its id.
pub async fn find(conn: &mut Conn, id: AppointmentId) -> sqlx::Result<Option<AppointmentView>> {
    store::by_id(conn, id).await
}

/// The visit that is asked about.
pub async fn asked(conn: &mut Conn, id: AppointmentId) -> sqlx::Result<Option<Asked>> {
    let Some(visit) = store::by_id(conn, id).await? else { return Ok(None) };
    let Some((location_name, time_zone)) = place(conn, visit.location_id).await? else {
        return Ok(None);
    };
    Ok(Some(Asked { visit, location_name, time_zone }))
}

async fn place(conn: &mut Conn, id: LocationId) -> sqlx::Result<Option<(String, String)>> {
    store::location_name(conn, id).await
}

/// What an answer would come to.
pub fn judge(
    visit: &AppointmentView,
    starts_at: DateTime<Utc>,
    reply: Reply,
    now: DateTime<Utc>,
) -> Replied {
    if visit.starts_at.timestamp() / 60 != starts_at.timestamp() / 60 {
        return Replied::Moved;
    }
    match (reply, visit.status) {
        (Reply::Confirm, Status::Confirmed) | (Reply::Cancel, Status::Cancelled) => {
            Replied::AlreadySo
        }
        _ if visit.starts_at <= now => Replied::Begun,
        (Reply::Confirm, Status::Booked) | (Reply::Cancel, Status::Booked | Status::Confirmed) => {
            Replied::Done
        }
        (_, status) => Replied::Stands(status),
    }
}

/// Answers. The transaction is one opened for telling and holds the locks of `seen`'s subjects; `None`: they are others by now,
/// so it has to be tried again.
pub async fn reply(
    tx: &mut Tx,
    seen: &AppointmentView,
    starts_at: DateTime<Utc>,
    reply: Reply,
) -> sqlx::Result<Option<(Replied, AppointmentView)>> {
    let standing = store::by_id(tx, seen.id).await?.ok_or(sqlx::Error::RowNotFound)?;
    if standing.subjects() != seen.subjects() {
        return Ok(None);
    }
    let now = tx.now();
    let replied = judge(&standing, starts_at, reply, now);
    if replied != Replied::Done {
        return Ok(Some((replied, standing)));
    }
    let after = match reply {
        Reply::Confirm => match take(tx, &standing, Step::Confirm).await {
            Ok(after) => after,
            Err(StepError::Db(error)) => return Err(error),
            Err(StepError::IllegalTransition { from, .. }) => {
                return Ok(Some((Replied::Stands(from), standing)));
            }
        },
        Reply::Cancel => match cancel(tx, &standing, None).await {
            Ok(after) => after,
            Err(CancelError::Db(error)) => return Err(error),
            Err(CancelError::IllegalTransition(from)) => {
                return Ok(Some((Replied::Stands(from), standing)));
            }
        },
    };
    Ok(Some((Replied::Done, after)))
}
