//! What an account is, and what may be said of one.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::auth::Role;
use crate::http::fields::{self, Fields, Readable};
use crate::ids::AccountId;
use crate::time::{shown, shown_if_any};

use super::affected::Resolve;

/// The roles of those who work here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum StaffRole {
    ClinicAdmin,
    Doctor,
    Receptionist,
    Therapist,
    Pharmacist,
    Accountant,
}

impl StaffRole {
    pub fn as_str(self) -> &'static str {
        Role::from(self).as_str()
    }
}

impl From<StaffRole> for Role {
    fn from(role: StaffRole) -> Self {
        match role {
            StaffRole::ClinicAdmin => Role::ClinicAdmin,
            StaffRole::Doctor => Role::Doctor,
            StaffRole::Receptionist => Role::Receptionist,
            StaffRole::Therapist => Role::Therapist,
            StaffRole::Pharmacist => Role::Pharmacist,
            StaffRole::Accountant => Role::Accountant,
        }
    }
}

/// Whether somebody may sign in. Only an active doctor is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum AccountStatus {
    Active,
    Suspended,
    Banned,
}

impl AccountStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            AccountStatus::Active => "active",
            AccountStatus::Suspended => "suspended",
            AccountStatus::Banned => "banned",
        }
    }
}

/// An account as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, Object)]
pub struct AccountView {
    pub id: AccountId,
    pub role: Role,
    pub full_name: String,
    pub email: Option<String>,
    /// When its owner proved the address; null again once there is another.
    #[serde(with = "shown_if_any")]
    pub email_verified_at: Option<DateTime<Utc>>,
    /// E.164.
    pub phone: Option<String>,
    /// ISO 639.
    pub language: Option<String>,
    pub status: AccountStatus,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

impl AccountView {
    pub fn is_staff(&self) -> bool {
        self.role != Role::Patient
    }
}

/// A new account, and the way in when no mail can carry it.
#[derive(Debug, Serialize, Object)]
pub struct InvitedView {
    #[serde(flatten)]
    #[oai(flatten)]
    pub user: AccountView,
    /// Shown once, and only while the clinic has no mail provider: pass it on to whom it is for. Good for 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub set_password_url: Option<String>,
}

/// Somebody who comes to work here.
#[derive(Clone, Debug, Object)]
pub struct NewUser {
    pub full_name: String,
    pub role: StaffRole,
    /// Signs in with it: no other member of staff has the same.
    pub email: String,
    /// Signs in with it too. E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    pub language: Option<String>,
}

impl Readable for NewUser {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let role = fields.required("role", fields::choice);
        let email = fields.required("email", fields::email);
        let phone = fields.optional("phone", fields::phone(&country));
        let language = fields.optional("language", fields::language);
        Some(Self { full_name: full_name?, role: role?, email: email?, phone, language })
    }
}

/// What an admin may say of an account that stands.
#[derive(Clone, Debug, Object)]
pub struct UserRequest {
    pub full_name: String,
    pub email: String,
    /// E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    pub language: Option<String>,
    /// Takes effect at once. Left as it is unless given: nobody is without one.
    pub role: Option<StaffRole>,
}

impl Readable for UserRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let email = fields.required("email", fields::email);
        let phone = fields.optional("phone", fields::phone(&country));
        let language = fields.optional("language", fields::language);
        let role = fields.optional("role", fields::choice);
        drop_shown_once(fields);
        Some(Self { full_name: full_name?, email: email?, phone, language, role })
    }
}

/// What everybody may say of himself.
#[derive(Clone, Debug, Object)]
pub struct MeRequest {
    pub full_name: String,
    /// A patient's is changed at the desk, where it is verified.
    pub phone: Option<String>,
    pub language: Option<String>,
}

impl Readable for MeRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let phone = fields.optional("phone", fields::phone(&country));
        let language = fields.optional("language", fields::language);
        Some(Self { full_name: full_name?, phone, language })
    }
}

/// Whether somebody may sign in from now on.
#[derive(Clone, Debug, Object)]
pub struct StatusRequest {
    pub status: AccountStatus,
    /// What becomes of the visits of a doctor who goes.
    pub resolve: Option<Resolve>,
}

impl Readable for StatusRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let status = fields.required("status", fields::choice);
        let resolve = fields.optional("resolve", fields::choice);
        Some(Self { status: status?, resolve })
    }
}

/// The answer that made an account may be sent back with changes; the link in it was shown once, and is kept nowhere that it
/// could be compared with.
pub fn drop_shown_once(fields: &mut Fields) {
    let _: Option<String> = fields.optional("set_password_url", fields::verbatim(0, 2000));
}
