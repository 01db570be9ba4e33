//! What the platform knows of a clinic, and what a caller may say of one.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::http::fields::{self, Fault, Fields, Readable};
use crate::http::host;
use crate::ids::{AccountId, ClinicId};
use crate::tenancy::provision::{NewAdmin, NewClinic};
use crate::time::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum ClinicStatus {
    Provisioning,
    Active,
    Suspended,
    Archived,
    Deleting,
}

impl ClinicStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ClinicStatus::Provisioning => "provisioning",
            ClinicStatus::Active => "active",
            ClinicStatus::Suspended => "suspended",
            ClinicStatus::Archived => "archived",
            ClinicStatus::Deleting => "deleting",
        }
    }

    /// An archived clinic stays archived; the rest goes to and fro.
    pub fn may_become(self, next: ClinicStatus) -> bool {
        use ClinicStatus::*;
        matches!(
            (self, next),
            (Active, Suspended) | (Suspended, Active) | (Active | Suspended, Archived)
        )
    }
}

/// A clinic as the platform shows one.
#[derive(Clone, Debug, Serialize, Object, sqlx::FromRow)]
pub struct ClinicView {
    pub id: ClinicId,
    pub slug: String,
    pub name: String,
    pub status: ClinicStatus,
    pub time_zone: String,
    pub language: String,
    pub country: String,
    pub state: Option<String>,
    /// The clinic owner who made it, if one did.
    pub owner_id: Option<AccountId>,
    /// Of its schema, as last seen.
    pub schema_level: i32,
    /// Of its database on disk, in bytes; null in lists.
    pub size_bytes: Option<i64>,
    pub last_error: Option<String>,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// A clinic just made.
#[derive(Debug, Serialize, Object)]
pub struct CreatedClinic {
    #[serde(flatten)]
    #[oai(flatten)]
    pub clinic: ClinicView,
    /// Where it answers.
    pub url: String,
    /// Shown once, and only when no mail provider is set: the first admin sets a password there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_password_url: Option<String>,
}

/// The first person who may sign in.
#[derive(Object)]
pub struct AdminRequest {
    full_name: String,
    email: String,
    phone: Option<String>,
}

impl Readable for AdminRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let email = fields.required("email", fields::email);
        let phone = fields.optional("phone", fields::phone(&country));
        Some(Self { full_name: full_name?, email: email?, phone })
    }
}

/// A clinic to be made.
#[derive(Object)]
pub struct ClinicRequest {
    /// Its name in addresses: 3 to 40 of `a-z 0-9 -`.
    slug: String,
    name: String,
    /// IANA.
    time_zone: String,
    /// ISO 639; `en` unless given.
    language: Option<String>,
    /// ISO 3166, two letters; `IN` unless given.
    country: Option<String>,
    state: Option<String>,
    admin: AdminRequest,
}

impl Readable for ClinicRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let slug = fields.required("slug", slug);
        let name = fields.required("name", fields::line(1, 200));
        let time_zone = fields.required("time_zone", fields::time_zone);
        let language = fields.optional("language", fields::language);
        let country = fields.optional("country", fields::country);
        let state = fields.optional("state", fields::line(1, 100));
        fields.set_country(country.as_deref().unwrap_or("IN"));
        let admin = fields.object("admin");
        Some(Self {
            slug: slug?,
            name: name?,
            time_zone: time_zone?,
            language,
            country,
            state,
            admin: admin?,
        })
    }
}

impl ClinicRequest {
    pub fn into_new(self, owner: Option<AccountId>) -> NewClinic {
        NewClinic {
            slug: self.slug,
            name: self.name,
            time_zone: self.time_zone,
            language: self.language.unwrap_or_else(|| "en".into()),
            country: self.country.unwrap_or_else(|| "IN".into()),
            state: self.state,
            admin: NewAdmin {
                full_name: self.admin.full_name,
                email: self.admin.email,
                phone: self.admin.phone,
            },
            owner,
        }
    }
}

/// What may be changed of a clinic. Its slug stays.
#[derive(Object)]
pub struct ClinicChange {
    pub name: String,
    pub time_zone: String,
    pub language: Option<String>,
    pub country: Option<String>,
    pub state: Option<String>,
}

impl Readable for ClinicChange {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", fields::line(1, 200));
        let time_zone = fields.required("time_zone", fields::time_zone);
        let language = fields.optional("language", fields::language);
        let country = fields.optional("country", fields::country);
        let state = fields.optional("state", fields::line(1, 100));
        Some(Self { name: name?, time_zone: time_zone?, language, country, state })
    }
}

/// Reads a slug by the contract's rule.
pub fn slug(value: serde_json::Value) -> Result<String, Fault> {
    let text = fields::line(1, 100)(value)?;
    if host::RESERVED.contains(&text.as_str()) {
        return Err(Fault("reserved", "this name is kept for the platform".into()));
    }
    host::is_slug(&text).then_some(text).ok_or_else(|| {
        Fault(
            "invalid_format",
            "3 to 40 of a-z 0-9 -, a letter first, a letter or digit last, no --".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::ClinicStatus::{self, *};

    #[test]
    fn a_clinic_goes_to_and_fro_until_it_is_archived() {
        let all = [Provisioning, Active, Suspended, Archived, Deleting];
        let allowed: &[(ClinicStatus, ClinicStatus)] =
            &[(Active, Suspended), (Suspended, Active), (Active, Archived), (Suspended, Archived)];
        for from in all {
            for to in all {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from:?} {to:?}");
            }
        }
    }
}
