//! The table: a slice has a file of rows, and a line in one of the two lists below.

mod accounts;
mod appointments;
mod audit;
mod auth;
mod calendar;
mod doctors;
mod live;
mod locations;
mod messaging;
mod one_time_codes;
mod patients;
mod platform;
mod queue;
mod scheduling;
mod staff;
mod templates;
mod waitlist;

use nadi::auth::Role::{self, *};
use serde_json::{Value, json};

use super::scene::{Names, Scene};

/// At a clinic's host.
pub(super) const AT_A_CLINIC: &[&[Row]] = &[
    auth::ROWS,
    one_time_codes::ROWS,
    patients::ROWS,
    messaging::ROWS,
    appointments::ROWS,
    queue::ROWS,
    waitlist::ROWS,
    live::ROWS,
    calendar::ROWS,
    staff::ROWS,
    locations::ROWS,
    doctors::ROWS,
    scheduling::ROWS,
    templates::ROWS,
    audit::ROWS,
    accounts::ROWS,
    accounts::AT_A_CLINIC,
    accounts::PASSWORDS, // last: then it is another
];

/// At the platform's host.
pub(super) const AT_THE_PLATFORM: &[&[Row]] =
    &[auth::ROWS, platform::ROWS, audit::ROWS, accounts::ROWS, accounts::PASSWORDS];

/// One operation of a description: who may, and what a good request to it looks like.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Nobody listed: anybody may, signed in or not.
    pub(super) roles: &'static [Role],
    /// What the id in its path names.
    pub(super) names: Names,
    pub(super) body: fn(&Scene) -> Value,
}

const fn row(
    method: &'static str,
    path: &'static str,
    roles: &'static [Role],
    names: Names,
    body: fn(&Scene) -> Value,
) -> Row {
    Row { method, path, roles, names, body }
}

fn nothing(_: &Scene) -> Value {
    Value::Null
}

const ANYBODY: &[Role] = &[];
pub(super) const CLINIC: &[Role] =
    &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant, Patient];
const STAFF: &[Role] = &[ClinicAdmin, Doctor, Receptionist, Therapist, Pharmacist, Accountant];
const DESK: &[Role] = &[ClinicAdmin, Doctor, Receptionist];
const DESK_AND_PATIENT: &[Role] = &[ClinicAdmin, Doctor, Receptionist, Patient];
pub(super) const PLATFORM: &[Role] = &[SuperAdmin, ClinicOwner];
