//! Suspending, resuming, archiving: effective on every instance within a second.

use poem::http::StatusCode;
use serde_json::json;

use super::model::{ClinicStatus, ClinicView};
use super::store;
use crate::audit::{self, Act, Actor};
use crate::error::Problem;
use crate::ids::AccountId;
use crate::tenancy::notices::{Notice, Notices};
use crate::tenancy::{Realm, wakeups};

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error("no clinic of this name")]
    NotFound,
    #[error("the platform suspended this clinic, and lifts it")]
    NotYours,
    #[error("a clinic that is {} cannot become {}", .from.as_str(), .to.as_str())]
    IllegalTransition { from: ClinicStatus, to: ClinicStatus },
    #[error("the registry cannot be reached: {}", .0.detail)]
    Problem(Problem),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Sets a clinic's status, if it may become that; asking for what it already is, is no error.
pub async fn set_status(
    platform: &Realm,
    notices: &Notices,
    slug: &str,
    to: ClinicStatus,
    by: Actor,
    only_owner: Option<AccountId>,
) -> Result<ClinicView, StatusError> {
    let mut tx = platform.begin(by).await.map_err(StatusError::Problem)?;
    let clinic = store::lock(&mut tx, slug).await?;
    let clinic = clinic
        .filter(|clinic| only_owner.is_none_or(|owner| clinic.owner_id == Some(owner)))
        .ok_or(StatusError::NotFound)?;
    let suspended = clinic.status == ClinicStatus::Suspended;
    let by_its_owner = suspended && store::suspended_by_owner(&mut tx, clinic.id).await?;
    // The platform may put its own word over the owner's: from then on it alone lifts the suspension.
    let takes_over = suspended && to == clinic.status && by_its_owner && only_owner.is_none();
    if clinic.status == to && !takes_over {
        return Ok(clinic);
    }
    if suspended && only_owner.is_some() && !by_its_owner {
        return Err(StatusError::NotYours);
    }
    if !takes_over && !clinic.status.may_become(to) {
        return Err(StatusError::IllegalTransition { from: clinic.status, to });
    }
    let changed = store::set_status(&mut tx, clinic.id, to).await?;
    if to == ClinicStatus::Active {
        wakeups::reopened(&mut *tx, clinic.id.0).await?;
    }
    let action = match to {
        ClinicStatus::Suspended => "clinic.suspended",
        ClinicStatus::Archived => "clinic.archived",
        _ => "clinic.resumed",
    };
    let act = Act::new(action, "clinic", clinic.id).about(clinic.id);
    audit::record(&mut tx, act.details(json!({ "slug": slug }))).await?;
    let notice = Notice::Clinic(slug.to_owned());
    notice.announce(&mut *tx).await?;
    tx.commit().await?;
    notices.apply(&notice);
    Ok(changed)
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        let detail = error.to_string();
        match error {
            StatusError::NotFound => Problem::not_found(),
            StatusError::NotYours => Problem::new(StatusCode::FORBIDDEN, "forbidden", detail),
            StatusError::IllegalTransition { from, to } => {
                Problem::conflict("illegal-transition", detail)
                    .with("from", from.as_str())
                    .with("to", to.as_str())
            }
            StatusError::Problem(problem) => problem,
            StatusError::Db(error) => error.into(),
        }
    }
}
