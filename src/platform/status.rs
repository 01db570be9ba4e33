//! Suspending, resuming, archiving: effective on every instance within a second.

use serde_json::json;

use super::model::{ClinicStatus, ClinicView};
use super::store;
use crate::audit::{self, Act, Actor};
use crate::error::Problem;
use crate::tenancy::notices::{Notice, Notices};
use crate::tenancy::{Realm, wakeups};

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error("no clinic of this name")]
    NotFound,
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
) -> Result<ClinicView, StatusError> {
    let mut tx = platform.begin(by).await.map_err(StatusError::Problem)?;
    let clinic = store::lock(&mut tx, slug).await?;
    let clinic = clinic.ok_or(StatusError::NotFound)?;
    if clinic.status == to {
        return Ok(clinic);
    }
    if !clinic.status.may_become(to) {
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
