//! A clinic owner has forgotten the password. The platform sends no mail, so a super-admin makes a link and passes it on.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::links::{self, Purpose};
use crate::auth::may::ManagePlatform;
use crate::error::Problem;
use crate::http::context::OnPlatform;
use crate::http::input::NoBody;
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::ids::AccountId;

/// Links that are passed on by hand. (No `Idempotency-Key`: what is kept for one would be the link, in clear.)
pub struct PasswordLinksApi;

#[derive(Serialize, Object)]
pub struct PasswordLinkView {
    /// Shown once: whoever opens it sets the account's password.
    reset_password_url: String,
    /// Seconds that it is good.
    expires_in: u64,
}

#[OpenApi]
impl PasswordLinksApi {
    /// Make a link with which a clinic owner sets another password
    ///
    /// Be sure of whom you give it to. Setting the password ends every session of the owner; a second factor stays.
    #[oai(
        path = "/clinic-admins/:id/password-link",
        method = "post",
        operation_id = "makeClinicOwnerPasswordLink"
    )]
    async fn make(
        &self,
        who: May<ManagePlatform>,
        caller: OnPlatform,
        id: Path<AccountId>,
        nothing: NoBody,
    ) -> Result<Payload<PasswordLinkView>, Problem> {
        let mut tx = caller.realm.begin(who.actor()).await?;
        let email: Option<String> = sqlx::query_scalar(
            "select email from users
             where id = $1 and role = 'clinic_owner' and status = 'active' and deleted_at is null",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
        let email = email.ok_or_else(Problem::not_found)?;
        nothing.read()?;
        let purpose = Purpose::ResetPassword;
        let token = links::put_for(&mut tx, Some(id.0), purpose, Some(&email)).await?;
        audit::record(&mut tx, Act::new("account.password_link_made", "account", id.0)).await?;
        tx.commit().await?;
        Ok(Payload(PasswordLinkView {
            reset_password_url: links::url_for(&caller.realm.url, purpose, &token),
            expires_in: purpose.lifetime().as_secs(),
        }))
    }
}
