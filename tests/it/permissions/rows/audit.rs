//! The audit log: a clinic's for its admin, the platform's for super-admins.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] =
    &[row("get", "/audit", &[ClinicAdmin, SuperAdmin], Names::Nothing, nothing)];
