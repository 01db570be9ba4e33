//! The roles of the contract, and what each may do: one table, named beside each endpoint.

use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

/// What somebody is here. The last two are the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Role {
    ClinicAdmin,
    Doctor,
    Receptionist,
    Therapist,
    Pharmacist,
    Accountant,
    Patient,
    SuperAdmin,
    ClinicOwner,
}

impl Role {
    pub const ALL: [Role; 9] = [
        Role::ClinicAdmin,
        Role::Doctor,
        Role::Receptionist,
        Role::Therapist,
        Role::Pharmacist,
        Role::Accountant,
        Role::Patient,
        Role::SuperAdmin,
        Role::ClinicOwner,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::ClinicAdmin => "clinic_admin",
            Role::Doctor => "doctor",
            Role::Receptionist => "receptionist",
            Role::Therapist => "therapist",
            Role::Pharmacist => "pharmacist",
            Role::Accountant => "accountant",
            Role::Patient => "patient",
            Role::SuperAdmin => "super_admin",
            Role::ClinicOwner => "clinic_owner",
        }
    }
}

/// Everybody who is signed in at a clinic.
pub const EVERYBODY: &[Role] = &[
    Role::ClinicAdmin,
    Role::Doctor,
    Role::Receptionist,
    Role::Therapist,
    Role::Pharmacist,
    Role::Accountant,
    Role::Patient,
];
