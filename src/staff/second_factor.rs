//! `/users/{id}/totp`: somebody has lost the app and the recovery codes, and an admin takes the factor away. It asks the admin for
//! more than a session; the owner is told, and signs in anew.

use poem_openapi::OpenApi;
use serde_json::json;

use super::api::{begin_over, refuse_oneself, staff_only};
use super::store;
use crate::audit::{self, Act};
use crate::auth::may::WriteStaff;
use crate::auth::second_factor::{self, ProofRequest};
use crate::auth::{May, sessions};
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::etag::{ETag, IfMatch};
use crate::http::input::Input;
use crate::http::path::Path;
use crate::http::payload::Done;
use crate::ids::AccountId;

/// Second factors of those who work here.
pub struct StaffSecondFactorApi;

#[OpenApi]
impl StaffSecondFactorApi {
    /// Take away a colleague's lost second factor
    ///
    /// Proved with the admin's own password or code: wrong, `422` with code `wrong_password` or `wrong_code`; too often, `429`.
    /// Every session of the colleague ends, and a letter tells of it. One's own is given up with `DELETE /auth/totp`.
    #[oai(path = "/users/:id/totp", method = "delete", operation_id = "removeUserTotp")]
    async fn remove(
        &self,
        who: May<WriteStaff>,
        clinic: Here,
        caller: Anybody,
        id: Path<AccountId>,
        if_match: IfMatch,
        body: Input<ProofRequest>,
    ) -> Result<Done, Problem> {
        let mut conn = clinic.read().await?;
        let before = staff_only(store::by_id(&mut conn, id.0).await?)?;
        second_factor::factor(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        body.accept()?;
        if_match.honour(ETag(before.version))?;
        let given = body.read()?.given();
        refuse_oneself(&who, id.0, "give up your own with DELETE /auth/totp")?;
        // Ended before the colleague's account is locked: two admins may do it to each other.
        second_factor::prove(&caller, &who, given).await?.commit().await?;
        let mut tx = begin_over(&clinic, &who, id.0).await?;
        staff_only(store::lock(&mut tx, id.0).await?)?;
        second_factor::take_away(&mut tx, &caller, id.0).await?;
        let ended = sessions::end_all(&mut tx, id.0, "second_factor_removed").await?;
        let act = Act::new("session.all_ended", "account", id.0);
        audit::record(&mut tx, act.details(json!({ "sessions": ended }))).await?;
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Done)
    }
}
