//! `/settings/sign-in`: who needs a second factor, and how far one-time codes go. It holds at once: whoever has no factor may
//! get one, and nothing else; codes are counted by what the database says when they are asked for and sent.

use std::collections::BTreeSet;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::store::{self, CodeSettings, SettingsRow};
use crate::audit::{self, Act};
use crate::auth::may::ManageSignIn;
use crate::auth::{May, Role};
use crate::config::Network;
use crate::error::Problem;
use crate::http::context::Anybody;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fault, Fields, Readable, choice, country, integer, line};
use crate::http::input::Input;
use crate::http::payload::Stored;

/// How people sign in here.
pub struct SignInSettingsApi;

/// What a clinic gives for SMS with codes on one day, unless it says otherwise.
const SMS_DAILY_BUDGET: i64 = 2000;
/// Wider networks are nobody's own: codes would be counted by no address any more.
const SHORTEST_PREFIX: (u8, u8) = (20, 48);

#[derive(Serialize, Object)]
pub struct SignInSettingsView {
    /// These have to have a second factor: until then their sessions can do nothing but set one up.
    second_factor_roles: Vec<String>,
    /// SMS with codes on one day of the clinic. This and what follows: at clinics alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    sms_daily_budget: Option<i32>,
    /// ISO 3166: where an SMS with a code may go; none: the clinic's own country alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    sms_countries: Option<Vec<String>>,
    /// The clinic's own: who asks for a code from there is not counted by address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    trusted_networks: Option<Vec<String>>,
}

impl From<SettingsRow> for Stored<SignInSettingsView> {
    fn from(row: SettingsRow) -> Self {
        let codes = row.codes();
        let view = SignInSettingsView {
            second_factor_roles: row.second_factor_roles,
            sms_daily_budget: codes.as_ref().map(|codes| codes.sms_daily_budget),
            sms_countries: codes.as_ref().map(|codes| codes.sms_countries.clone()),
            trusted_networks: codes.map(|codes| codes.trusted_networks),
        };
        Stored { view, etag: ETag(row.version) }
    }
}

#[derive(Object)]
pub struct SignInSettingsRequest {
    /// Roles of this host; patients have no password, and so no second factor.
    second_factor_roles: Option<Vec<Role>>,
    /// SMS with codes on one day of the clinic; 2,000 unless given. Beyond it they go by other channels.
    sms_daily_budget: Option<i64>,
    /// ISO 3166: where an SMS with a code may go; the clinic's own country alone, if there are none.
    sms_countries: Option<Vec<String>>,
    /// The clinic's own, as `203.0.113.0/24`: who asks for a code from there is not counted by address.
    trusted_networks: Option<Vec<String>>,
    #[oai(skip)]
    of_codes: Vec<&'static str>,
}

impl Readable for SignInSettingsRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let role = |value| match choice(value)? {
            Role::Patient => {
                Err(Fault("unknown_value", "patients sign in by one-time code".into()))
            }
            role => Ok(role),
        };
        let mut of_codes = vec!["sms_daily_budget", "sms_countries", "trusted_networks"];
        of_codes.retain(|name| fields.has(name));
        Some(Self {
            second_factor_roles: fields.list("second_factor_roles", 9, role),
            sms_daily_budget: fields.optional("sms_daily_budget", integer(0, 1_000_000)),
            sms_countries: fields.list("sms_countries", 50, country),
            trusted_networks: fields.list("trusted_networks", 50, own_network),
            of_codes,
        })
    }
}

impl SignInSettingsRequest {
    fn codes(&self) -> CodeSettings {
        CodeSettings {
            sms_daily_budget: self.sms_daily_budget.unwrap_or(SMS_DAILY_BUDGET) as i32,
            sms_countries: sorted(self.sms_countries.iter().flatten().cloned()),
            trusted_networks: sorted(self.trusted_networks.iter().flatten().cloned()),
        }
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A network of the clinic's own, as PostgreSQL keeps it: bits behind the prefix are none.
fn own_network(value: serde_json::Value) -> Result<String, Fault> {
    let text = line(1, 50)(value)?;
    let network: Network = text.parse().map_err(|words| Fault("invalid_format", words))?;
    let shortest = if network.is_v4() { SHORTEST_PREFIX.0 } else { SHORTEST_PREFIX.1 };
    if network.prefix() < shortest {
        return Err(Fault("too_wide", format!("at least /{shortest}: more is nobody's own")));
    }
    Ok(network.to_string())
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
        let codes = caller.clinic.is_some();
        Ok(store::settings(&mut conn, codes).await?.into())
    }

    /// Say how people sign in here
    ///
    /// It holds at once, for sessions that are open too: who has no second factor and needs one gets
    /// `403 second-factor-required` for all but setting one up. What is left out takes its default. The platform has no
    /// one-time codes, and takes the roles alone.
    #[oai(path = "/settings/sign-in", method = "put", operation_id = "replaceSignInSettings")]
    async fn replace(
        &self,
        who: May<ManageSignIn>,
        caller: Anybody,
        if_match: IfMatch,
        body: Input<SignInSettingsRequest>,
    ) -> Result<Stored<SignInSettingsView>, Problem> {
        let mut tx = caller.realm.begin(who.actor()).await?;
        let on_platform = caller.clinic.is_none();
        let before = store::lock_settings(&mut tx, !on_platform).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read_with(|fields, new: &SignInSettingsRequest| {
            let platforms = |role: &Role| matches!(role, Role::SuperAdmin | Role::ClinicOwner);
            let roles = new.second_factor_roles.iter().flatten();
            if roles.clone().any(|role| platforms(role) != on_platform) {
                fields.fault("second_factor_roles", "unknown_value", "expected roles of this host");
            }
            for name in new.of_codes.iter().filter(|_| on_platform) {
                fields.fault(name, "unknown_field", "the platform has no one-time codes");
            }
        })?;
        let mut roles: Vec<String> =
            new.second_factor_roles.iter().flatten().map(|role| role.as_str().to_owned()).collect();
        roles.sort();
        roles.dedup();
        let codes = (!on_platform).then(|| new.codes());
        let after = store::update_settings(&mut tx, &roles, codes.as_ref()).await?;
        let mut details = json!({ "second_factor_roles": {
            "from": before.second_factor_roles, "to": after.second_factor_roles } });
        if let (Some(from), Some(to)) = (before.codes(), after.codes()) {
            details["codes"] = json!({ "from": from, "to": to });
        }
        let act = Act::unknown("sign_in_settings.changed", "sign_in_settings");
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        caller.sessions.changed(&caller.realm).await;
        Ok(after.into())
    }
}
