//! Who did not come is marked by itself, where the clinic's rules say after how long: a chore, put with the visit.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::model::{Status, Step};
use super::steps::{StepError, take};
use super::store;
use crate::actor::Actor;
use crate::chores::{self, Chore, NewChore, Outcome};
use crate::error::Problem;
use crate::ids::AppointmentId;
use crate::tenancy::Clinic;

/// The chore's name.
pub const NAME: &str = "no_show";

/// Does it, as the app's list of chores wants it.
pub fn job(clinic: Arc<Clinic>, chore: Chore) -> BoxFuture<'static, Result<Outcome, Problem>> {
    Box::pin(async move { mark(&clinic, AppointmentId(chore.subject_id)).await })
}

/// Marks a visit whose patient did not come; done twice it finds nothing to do.
async fn mark(clinic: &Clinic, id: AppointmentId) -> Result<Outcome, Problem> {
    let seen = store::by_id(&mut clinic.read().await?, id).await?;
    let Some(seen) = seen else { return Ok(Outcome::Needless("there is no such visit")) };
    let mut tx = clinic.begin_telling(Actor::platform(), &seen.subjects()).await?;
    let standing = store::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    if standing.subjects() != seen.subjects() {
        return Err(Problem::conflict("conflict", "the visit changed just now"));
    }
    if !matches!(standing.status, Status::Booked | Status::Confirmed) {
        return Ok(Outcome::Needless("the visit has gone on"));
    }
    let Some((missed_at, is_over)) = store::missed_at(&mut tx, id).await? else {
        return Ok(Outcome::Needless("this clinic marks nobody by itself any more"));
    };
    if !is_over {
        // It moved while we waited, or the clinic gives more time by now.
        let key = format!("{}:{}", standing.version, missed_at.timestamp());
        let later = NewChore { name: NAME, subject_id: id.0, key, due_at: missed_at };
        chores::put(&mut tx, &later).await?;
    } else {
        match take(&mut tx, &standing, Step::Miss).await {
            Ok(_) => {}
            Err(StepError::IllegalTransition { .. }) => {
                return Ok(Outcome::Needless("the visit has gone on"));
            }
            Err(StepError::Db(error)) => return Err(error.into()),
        }
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}
