//! The platform's own desk, at `admin.`: super-admins and clinic owners make, suspend and resume clinics.

pub mod accounts;
pub mod api;
pub mod model;
pub mod password_link;
pub mod second_factors;
mod status;
mod store;

pub use status::set_status;

use std::sync::Arc;

use crate::config::Settings;
use crate::error::Problem;
use crate::tenancy::notices::Notices;
use crate::tenancy::{Provisioner, Realm};
use model::ClinicView;

/// What the desk works with.
pub struct Desk {
    pub platform: Arc<Realm>,
    pub provisioner: Arc<Provisioner>,
    pub notices: Notices,
    pub settings: Arc<Settings>,
}

/// Every clinic, by slug, for the command line.
pub async fn all_clinics(platform: &Realm) -> Result<Vec<ClinicView>, Problem> {
    let mut conn = platform.read().await?;
    Ok(store::list(&mut conn, None, None, i64::MAX).await?)
}

/// One clinic, for the command line.
pub async fn clinic(platform: &Realm, slug: &str) -> Result<Option<ClinicView>, Problem> {
    let mut conn = platform.read().await?;
    Ok(store::by_slug(&mut conn, slug).await?)
}
