//! The steps of a visit on its day: confirmed, checked in, seen, done; or missed. Each keeps its time, and writes its line.

use serde_json::json;

use super::cancel::promote;
use super::freed;
use super::history::{self, What};
use super::model::{AppointmentView, Status, Step};
use super::store;
use super::tell::show;
use super::token;
use crate::audit::{self, Act};
use crate::db::Tx;
use crate::outbox;

#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("a visit that is {} cannot become {}", .from.as_str(), .to.as_str())]
    IllegalTransition { from: Status, to: Status },
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

impl From<Step> for What {
    fn from(step: Step) -> Self {
        match step {
            Step::Confirm => What::Confirmed,
            Step::CheckIn => What::CheckedIn,
            Step::Start => What::Started,
            Step::Complete => What::Completed,
            Step::Miss => What::NoShow,
        }
    }
}

/// Takes a step. The transaction holds the locks of the visit's doctor and its patient.
pub async fn take(
    tx: &mut Tx,
    standing: &AppointmentView,
    step: Step,
) -> Result<AppointmentView, StepError> {
    let (from, to) = (standing.status, step.to());
    if !from.may_become(to) {
        return Err(StepError::IllegalTransition { from, to });
    }
    let mut after = store::set_status(tx, standing.id, to).await?;
    let what = What::from(step);
    if step == Step::CheckIn {
        after.taken.token = token::give(tx, &after).await?;
    }
    show(tx, what.action(), &after, &[]).await?;
    if step == Step::Miss {
        store::release(tx, standing.id).await?;
        promote(tx, standing.doctor_id, standing.span()).await?;
        freed::note(tx, standing.doctor_id, standing.span()).await?;
    }
    // Who is here needs no reminder, and is not missed any more.
    if matches!(step, Step::CheckIn | Step::Miss) {
        outbox::withdraw(&mut **tx, standing.id.0).await?;
    }
    history::note(tx, what, Some(standing), &after, None).await?;
    let act = Act::new(what.action(), "appointment", after.id).about(after.patient_id);
    audit::record(tx, act.details(json!({ "from": from.as_str() }))).await?;
    Ok(after)
}
