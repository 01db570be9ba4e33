//! `/users/{id}/end-sessions`: an admin signs somebody out everywhere, who may sign in again.

use poem_openapi::OpenApi;
use serde_json::json;

use super::{model::AccountView, store};
use crate::audit::{self, Act};
use crate::auth::may::WriteStaff;
use crate::auth::{May, sessions};
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::input::NoBody;
use crate::http::path::Path;
use crate::http::payload::Done;
use crate::ids::AccountId;

/// Sessions of those who work here.
pub struct StaffSessionsApi;

#[OpenApi]
impl StaffSessionsApi {
    /// End every session of a member of staff
    ///
    /// For a lost phone, or a computer that was left open. Whoever is to stay out is suspended instead.
    #[oai(path = "/users/:id/end-sessions", method = "post", operation_id = "endUserSessions")]
    async fn end(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<AccountId>,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let account = store::lock(&mut tx, id.0).await?;
        account.filter(AccountView::is_staff).ok_or_else(Problem::not_found)?;
        nothing.read()?;
        let ended = sessions::end_all(&mut tx, id.0, "ended_by_admin").await?;
        let act = Act::new("session.all_ended", "account", id.0);
        audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Done)
    }
}
