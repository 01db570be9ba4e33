//! `/appointments/{id}/history`

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::api::visible;
use super::history::{self, ChangeView};
use crate::audit::Seen;
use crate::auth::May;
use crate::auth::may::ReadAppointments;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::ids::AppointmentId;

/// What became of visits.
pub struct HistoryApi;

/// A visit's past.
#[derive(Debug, Serialize, Object)]
pub struct HistoryView {
    /// The oldest first, all of them.
    pub items: Vec<ChangeView>,
}

#[OpenApi]
impl HistoryApi {
    /// Who changed what, when
    ///
    /// Patients are not told which member of staff it was.
    #[oai(
        path = "/appointments/:id/history",
        method = "get",
        operation_id = "getAppointmentHistory"
    )]
    async fn history(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        id: Path<AppointmentId>,
    ) -> Result<Payload<HistoryView>, Problem> {
        let visit = visible(&clinic, &who, id.0).await?;
        let mut items = history::of(&mut clinic.read().await?, visit.id).await?;
        if who.is_patient() {
            for item in items.iter_mut().filter(|item| item.account_id != Some(who.account)) {
                (item.account_id, item.full_name) = (None, None);
            }
        }
        who.saw(Seen::one("appointment", visit.id).about(visit.patient_id)).await?;
        Ok(Payload(HistoryView { items }))
    }
}
