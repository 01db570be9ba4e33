//! `/settings/sign-in`: who needs a second factor. It holds at once: whoever has none may get one, and nothing else.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::store::{self, SettingsRow};
use crate::audit::{self, Act};
use crate::auth::may::ManageSignIn;
use crate::auth::{May, Role};
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fault, Fields, Readable, choice};
use crate::http::input::Input;
use crate::http::payload::Stored;

/// How people sign in here.
pub struct SignInSettingsApi;

#[derive(Serialize, Object)]
pub struct SignInSettingsView {
    /// These have to have a second factor: until then their sessions can do nothing but set one up.
    second_factor_roles: Vec<String>,
}

impl From<SettingsRow> for Stored<SignInSettingsView> {
    fn from(row: SettingsRow) -> Self {
        let view = SignInSettingsView { second_factor_roles: row.second_factor_roles };
        Stored { view, etag: ETag(row.version) }
    }
}

#[derive(Object)]
pub struct SignInSettingsRequest {
    /// Roles of this host; patients have no password, and so no second factor.
    second_factor_roles: Option<Vec<Role>>,
}

impl Readable for SignInSettingsRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let role = |value| match choice(value)? {
            Role::Patient => {
                Err(Fault("unknown_value", "patients sign in by one-time code".into()))
            }
            role => Ok(role),
        };
        Some(Self { second_factor_roles: fields.list("second_factor_roles", 9, role) })
    }
}

#[OpenApi]
impl SignInSettingsApi {
    /// How people sign in here
    #[oai(path = "/settings/sign-in", method = "get", operation_id = "getSignInSettings")]
    async fn get(
        &self,
        _who: May<ManageSignIn>,
        caller: Anybody,
    ) -> Result<Stored<SignInSettingsView>, Problem> {
        let mut conn = caller.realm.read().await?;
        Ok(store::settings(&mut conn).await?.into())
    }

    /// Say how people sign in here
    ///
    /// It holds at once, for sessions that are open too: who has no second factor and needs one gets
    /// `403 second-factor-required` for all but setting one up.
    #[oai(path = "/settings/sign-in", method = "put", operation_id = "replaceSignInSettings")]
    async fn replace(
        &self,
        who: May<ManageSignIn>,
        caller: Anybody,
        if_match: IfMatch,
        body: Input<SignInSettingsRequest>,
    ) -> Result<Stored<SignInSettingsView>, Problem> {
        let mut tx = caller.realm.begin(who.actor()).await?;
        let before = store::lock_settings(&mut tx).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let on_platform = caller.clinic.is_none();
        let new = body.read_with(|fields, new: &SignInSettingsRequest| {
            let platforms = |role: &Role| matches!(role, Role::SuperAdmin | Role::ClinicOwner);
            let roles = new.second_factor_roles.iter().flatten();
            if roles.clone().any(|role| platforms(role) != on_platform) {
                fields.fault("second_factor_roles", "unknown_value", "expected roles of this host");
            }
        })?;
        let mut roles: Vec<String> =
            new.second_factor_roles.iter().flatten().map(|role| role.as_str().to_owned()).collect();
        roles.sort();
        roles.dedup();
        let after = store::update_settings(&mut tx, &roles).await?;
        let details = json!({ "second_factor_roles": {
            "from": before.second_factor_roles, "to": after.second_factor_roles } });
        let act = Act::unknown("sign_in_settings.changed", "sign_in_settings");
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(after.into())
    }
}
