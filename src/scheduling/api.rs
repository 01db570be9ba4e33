//! `/settings/scheduling`

use poem_openapi::OpenApi;
use serde_json::json;

use super::model::{SchedulingRequest, SchedulingView};
use super::store;
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::ManageScheduling;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::input::Input;
use crate::http::payload::Stored;

/// How the clinic books.
pub struct SchedulingSettingsApi;

#[OpenApi]
impl SchedulingSettingsApi {
    /// The clinic's rules of scheduling
    #[oai(path = "/settings/scheduling", method = "get", operation_id = "getSchedulingSettings")]
    async fn get(
        &self,
        _who: May<ManageScheduling>,
        clinic: Here,
    ) -> Result<Stored<SchedulingView>, Problem> {
        let mut conn = clinic.read().await?;
        let rules = store::read(&mut conn).await?;
        Ok(Stored { etag: ETag(rules.version), view: rules })
    }

    /// Replace the clinic's rules of scheduling
    ///
    /// What is left out takes its default. Visits that are booked stand as they are.
    #[oai(path = "/settings/scheduling", method = "put", operation_id = "putSchedulingSettings")]
    async fn put(
        &self,
        who: May<ManageScheduling>,
        clinic: Here,
        if_match: IfMatch,
        body: Input<SchedulingRequest>,
    ) -> Result<Stored<SchedulingView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read_over(&before)?.over(&before);
        store::put(&mut tx, &new).await?;
        let after = store::read(&mut tx).await?;
        let act = Act::new("scheduling.configured", "scheduling_rules", clinic.id);
        audit::record(&mut tx, act.details(json!({ "from": before, "to": after }))).await?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(after.version), view: after })
    }
}
