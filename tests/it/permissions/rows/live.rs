//! Hearing of changes as they happen.

use super::*;

const LISTENERS: &[Role] = &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient];

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/live", LISTENERS, Names::Nothing, nothing),
    row("post", "/live/tickets", LISTENERS, Names::Nothing, nothing),
];
