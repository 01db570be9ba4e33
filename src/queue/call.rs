//! Calling: the next, one again, and letting others go before one who does not come. Each holds the lock of the doctor, so that two
//! desks at once call one patient.

use serde_json::{Value, json};

use super::line;
use super::model::{Mark, Priority, QueueItem, State};
use super::store::{self, Asked, VisitRow};
use crate::appointments::Status;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::ids::AppointmentId;
use crate::live;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("a visit that is {} is not in the queue", .0.as_str())]
    NotWaiting(Status),
    #[error("it is skipped already")]
    Skipped,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// What becomes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Out of turn, or once more.
    Recall,
    Skip,
    Rank(Priority),
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Next {
    Nobody,
    Called(QueueItem),
    /// Was called before, and has not come yet.
    CalledAlready(QueueItem),
}

/// Calls the next, unless somebody has been called who is not inside yet: then that one is it. Says, too, how many wait yet.
pub async fn call_next(tx: &mut Tx, asked: Asked) -> sqlx::Result<(Next, usize)> {
    let now = tx.now();
    let queue = line::of(store::tokens(tx, asked, now).await?, now);
    let waiting = queue.iter().filter(|item| item.state.waits()).count();
    let called = queue.iter().filter(|item| item.state == State::Called);
    if let Some(called) = called.min_by_key(|item| item.called_at) {
        return Ok((Next::CalledAlready(called.clone()), waiting));
    }
    let first = queue.iter().filter(|item| item.place == Some(1));
    let next = first.min_by_key(|item| (item.priority != Priority::Emergency, item.due_at));
    let Some(next) = next else { return Ok((Next::Nobody, 0)) };
    store::call(tx, next).await?;
    tell(tx, "queue.called", next, json!({})).await?;
    Ok((Next::Called(again(tx, next.appointment_id, asked).await?), waiting - 1))
}

/// Calls one visit's patient, lets others go before, or says how urgent it is.
pub async fn turn(
    tx: &mut Tx,
    id: AppointmentId,
    visit: &VisitRow,
    turn: Turn,
) -> Result<QueueItem, CallError> {
    let (Some(day), Some(mark), Status::CheckedIn) = (visit.day, visit.state, visit.status) else {
        return Err(CallError::NotWaiting(visit.status));
    };
    if turn == Turn::Skip && mark == Mark::Skipped {
        return Err(CallError::Skipped);
    }
    let asked =
        Asked { day: Some(day), doctor: Some(visit.doctor_id), location: Some(visit.location_id) };
    let item = again(tx, id, asked).await?;
    match turn {
        Turn::Recall => {
            store::call(tx, &item).await?;
            tell(tx, "queue.called", &item, json!({ "out_of_turn": mark != Mark::Called })).await?;
        }
        Turn::Skip => {
            store::skip(tx, &item).await?;
            tell(tx, "queue.skipped", &item, json!({})).await?;
        }
        Turn::Rank(priority) => {
            store::set_priority(tx, &item, priority).await?;
            let details = json!({ "from": item.priority, "to": priority });
            tell(tx, "queue.ranked", &item, details).await?;
        }
    }
    Ok(again(tx, id, asked).await?)
}

/// One of a queue as it stands now.
pub async fn again(tx: &mut Tx, id: AppointmentId, asked: Asked) -> sqlx::Result<QueueItem> {
    let now = tx.now();
    let queue = line::of(store::tokens(tx, asked, now).await?, now);
    queue.into_iter().find(|item| item.appointment_id == id).ok_or(sqlx::Error::RowNotFound)
}

/// On record, and to those who watch: these learn the token alone.
async fn tell(
    tx: &mut Tx,
    kind: &'static str,
    item: &QueueItem,
    details: Value,
) -> sqlx::Result<()> {
    let event = live::Event {
        kind,
        appointment_id: Some(item.appointment_id),
        doctor_id: Some(item.doctor_id),
        patient_id: Some(item.patient_id),
        location_id: Some(item.location_id),
        also: &[],
        details: json!({ "token": item.token }),
    };
    live::note(tx, event).await?;
    let act = Act::new(kind, "appointment", item.appointment_id).about(item.patient_id);
    audit::record(tx, act.details(details)).await
}
