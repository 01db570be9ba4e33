//! `/auth/totp`: on every host.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::enrol::{self, Given};
use crate::auth::May;
use crate::auth::may::OwnPassword;
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::fields::{Fields, Readable, line, verbatim};
use crate::http::input::Input;
use crate::http::payload::{Done, Payload};

/// Second factors.
pub struct SecondFactorApi;

#[derive(Object)]
pub struct EnrolRequest {
    /// Mine, once more.
    password: String,
}

impl Readable for EnrolRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { password: fields.required("password", verbatim(1, 256))? })
    }
}

/// Shown once, and kept by whoever asked.
#[derive(Serialize, Object)]
pub struct EnrolView {
    /// For an authenticator app, best as a QR code.
    otpauth_url: String,
    /// The same, to be typed by hand.
    secret: String,
    /// For when the app is lost: each signs in once, in place of a code.
    recovery_codes: Vec<String>,
}

#[derive(Object)]
pub struct ConfirmRequest {
    /// Six digits, as the app shows them.
    code: String,
}

impl Readable for ConfirmRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { code: fields.required("code", line(1, 32))? })
    }
}

/// That it is still me: one of the two.
#[derive(Object)]
pub struct ProofRequest {
    /// Mine, once more.
    password: Option<String>,
    /// Of my app, or a recovery code.
    code: Option<String>,
}

impl Readable for ProofRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let password = fields.optional("password", verbatim(1, 256));
        let code = fields.optional("code", line(1, 32));
        match (&password, &code) {
            (None, None) => fields.fault("password", "required", "the password, or a code"),
            (Some(_), Some(_)) => fields.fault("code", "not_both", "the password, or a code"),
            _ => {}
        }
        Some(Self { password, code })
    }
}

impl ProofRequest {
    pub fn given(self) -> Given {
        match (self.password, self.code) {
            (Some(password), _) => Given::Password(password),
            (None, code) => Given::Code(code.unwrap_or_default()),
        }
    }
}

/// Shown once, and kept by whoever asked.
#[derive(Serialize, Object)]
pub struct RecoveryCodesView {
    /// For when the app is lost: each signs in once, in place of a code.
    recovery_codes: Vec<String>,
}

#[OpenApi]
impl SecondFactorApi {
    /// Begin to set up a second factor
    ///
    /// It counts once it is confirmed. A wrong password: `422`, code `wrong_password`. Patients sign in by one-time code and
    /// have no password, so they have no second factor either.
    #[oai(path = "/auth/totp", method = "post", operation_id = "enrolTotp")]
    async fn enrol(
        &self,
        who: May<OwnPassword>,
        caller: Anybody,
        body: Input<EnrolRequest>,
    ) -> Result<Payload<EnrolView>, Problem> {
        let password = body.read()?.password;
        let issuer = caller.clinic.as_ref().map_or("nadi", |clinic| &clinic.name);
        let begun = enrol::begin(&caller, &who, issuer, password).await?;
        Ok(Payload(EnrolView {
            otpauth_url: begun.uri,
            secret: begun.secret,
            recovery_codes: begun.recovery_codes,
        }))
    }

    /// Confirm it with a first code
    ///
    /// Every other session of mine ends. A wrong code: `422`, code `wrong_code`; after five `429`.
    #[oai(path = "/auth/totp/confirm", method = "post", operation_id = "confirmTotp")]
    async fn confirm(
        &self,
        who: May<OwnPassword>,
        caller: Anybody,
        body: Input<ConfirmRequest>,
    ) -> Result<Done, Problem> {
        let code = body.read()?.code;
        enrol::confirm(&caller, &who, &code).await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }

    /// Give my second factor up
    #[oai(path = "/auth/totp", method = "delete", operation_id = "removeTotp")]
    async fn remove(
        &self,
        who: May<OwnPassword>,
        caller: Anybody,
        body: Input<ProofRequest>,
    ) -> Result<Done, Problem> {
        let given = body.read()?.given();
        enrol::remove(&caller, &who, given).await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(Done)
    }
    /// Have other recovery codes
    ///
    /// Those from before are worth nothing. Asked with the password, or with a code of the app.
    #[oai(path = "/auth/totp/recovery-codes", method = "post", operation_id = "renewRecoveryCodes")]
    async fn renew_codes(
        &self,
        who: May<OwnPassword>,
        caller: Anybody,
        body: Input<ProofRequest>,
    ) -> Result<Payload<RecoveryCodesView>, Problem> {
        let given = body.read()?.given();
        let recovery_codes = enrol::renew_codes(&caller, &who, given).await?;
        Ok(Payload(RecoveryCodesView { recovery_codes }))
    }
}
