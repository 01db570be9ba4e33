//! `/auth/change-password`, `/auth/forgot-password`, `/auth/reset-password`: on every host.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::change;
use super::forgot::{self, SentBy};
use crate::auth::links::Purpose;
use crate::auth::may::OwnPassword;
use crate::auth::{May, password};
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::fields::{Fields, Readable, line, verbatim};
use crate::http::input::Input;
use crate::http::payload::{Accepted, Done};

/// Passwords that are set anew.
pub struct PasswordsApi;

#[derive(Object)]
pub struct ChangePasswordRequest {
    current_password: String,
    /// 10 to 256 characters of any script.
    new_password: String,
}

impl Readable for ChangePasswordRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.required("current_password", verbatim(1, 256));
        let new_password = fields.required("new_password", password::new_password);
        Some(Self { current_password: current_password?, new_password: new_password? })
    }
}

#[derive(Object)]
pub struct ForgotPasswordRequest {
    /// E-mail, or a phone number with its country code.
    identifier: String,
}

impl Readable for ForgotPasswordRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { identifier: fields.required("identifier", line(1, 254))? })
    }
}

/// If somebody here has that identifier and a password, a link is on its way.
#[derive(Serialize, Object)]
pub struct ForgotPasswordView {
    /// Who brings it: the same for everybody at one host.
    sent_by: SentBy,
    /// Seconds that the link is good.
    expires_in: u64,
}

#[derive(Object)]
pub struct ResetPasswordRequest {
    /// From the link.
    token: String,
    /// 10 to 256 characters of any script.
    password: String,
}

impl Readable for ResetPasswordRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", verbatim(1, 500));
        let password = fields.required("password", password::new_password);
        Some(Self { token: token?, password: password? })
    }
}

#[OpenApi]
impl PasswordsApi {
    /// Change my password
    ///
    /// Every other session of mine ends. A wrong current one: `422`, code `wrong_password`; after ten of them `429`.
    #[oai(path = "/auth/change-password", method = "post", operation_id = "changePassword")]
    async fn change(
        &self,
        who: May<OwnPassword>,
        caller: Anybody,
        body: Input<ChangePasswordRequest>,
    ) -> Result<Done, Problem> {
        let ChangePasswordRequest { current_password, new_password } = body.read()?;
        change::change(&caller, &who, current_password, new_password).await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }

    /// Ask for a link to set another password
    ///
    /// The same answer whether or not anybody has this identifier. At a clinic the link goes to the account's e-mail address.
    /// The platform sends no mail: there a super-admin makes a link (`POST /clinic-admins/{id}/password-link`).
    #[oai(path = "/auth/forgot-password", method = "post", operation_id = "forgotPassword")]
    async fn forgot(
        &self,
        caller: Anybody,
        body: Input<ForgotPasswordRequest>,
    ) -> Result<Accepted<ForgotPasswordView>, Problem> {
        let identifier = body.read()?.identifier;
        let sent_by = forgot::forgot(&caller, &identifier).await?;
        let expires_in = Purpose::ResetPassword.lifetime().as_secs();
        Ok(Accepted(ForgotPasswordView { sent_by, expires_in }))
    }

    /// Set another password with the link that was sent
    ///
    /// Every session ends, and every other such link. A second factor stays.
    #[oai(path = "/auth/reset-password", method = "post", operation_id = "resetPassword")]
    async fn reset(
        &self,
        caller: Anybody,
        body: Input<ResetPasswordRequest>,
    ) -> Result<Done, Problem> {
        let ResetPasswordRequest { token, password } = body.read()?;
        change::reset(&caller, &token, password, caller.actor()).await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }
}
