//! One's own account, and who else may do something with it.

use super::*;
use crate::support::PASSWORD;

const WITH_A_PASSWORD: &[Role] = &[
    ClinicAdmin,
    Doctor,
    Receptionist,
    Therapist,
    Pharmacist,
    Accountant,
    SuperAdmin,
    ClinicOwner,
];

/// A body that is an image.
pub(in crate::permissions) const PICTURE: &str = "a picture";

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("post", "/auth/forgot-password", ANYBODY, Names::Nothing, |_| json!({ "identifier": "x" })),
    row(
        "post",
        "/auth/reset-password",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "token": "x", "password": "monsoon harvest lamp" }),
    ),
    row("get", "/settings/sign-in", &[ClinicAdmin, SuperAdmin], Names::Nothing, nothing),
    row("put", "/settings/sign-in", &[ClinicAdmin, SuperAdmin], Names::Nothing, |_| json!({})),
];

pub(in crate::permissions) const AT_A_CLINIC: &[Row] = &[
    row("post", "/auth/verify-email-request", STAFF, Names::Nothing, nothing),
    row("post", "/auth/verify-email", ANYBODY, Names::Nothing, |_| json!({ "token": "x" })),
    row(
        "delete",
        "/users/{id}/totp",
        &[ClinicAdmin],
        Names::Enrolled,
        |_| json!({ "password": PASSWORD }),
    ),
    row("post", "/users/{id}/end-sessions", &[ClinicAdmin], Names::User, nothing),
    row(
        "patch",
        "/patients/{id}/account-status",
        &[ClinicAdmin],
        Names::Patient,
        |_| json!({ "status": "active" }),
    ),
    row("get", "/users/me/preferences", &Role::ALL, Names::Nothing, nothing),
    row("put", "/users/me/preferences", &Role::ALL, Names::Nothing, |_| json!({})),
    row("put", "/users/{id}/avatar", &Role::ALL, Names::Oneself, |_| json!(PICTURE)),
    row("get", "/users/{id}/avatar", &Role::ALL, Names::Oneself, nothing),
    row("delete", "/users/{id}/avatar", &Role::ALL, Names::Oneself, nothing),
];

pub(in crate::permissions) const PASSWORDS: &[Row] = &[
    row("post", "/auth/totp", WITH_A_PASSWORD, Names::Nothing, |_| json!({ "password": PASSWORD })),
    row(
        "post",
        "/auth/totp/recovery-codes",
        WITH_A_PASSWORD,
        Names::Nothing,
        |_| json!({ "password": PASSWORD }),
    ),
    row(
        "post",
        "/auth/totp/confirm",
        WITH_A_PASSWORD,
        Names::Nothing,
        |_| json!({ "code": "000000" }),
    ),
    row(
        "delete",
        "/auth/totp",
        WITH_A_PASSWORD,
        Names::Nothing,
        |_| json!({ "password": PASSWORD }),
    ),
    row(
        "post",
        "/auth/change-password",
        WITH_A_PASSWORD,
        Names::Nothing,
        |_| json!({ "current_password": PASSWORD, "new_password": "monsoon harvest lamp" }),
    ),
];
