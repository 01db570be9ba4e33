//! Accounts of those who work here.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/users", STAFF, Names::Nothing, nothing),
    row(
        "post",
        "/users",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "New Hand", "role": "therapist", "email": scene.email() }),
    ),
    row("get", "/users/me", &Role::ALL, Names::Nothing, nothing),
    row("put", "/users/me", &Role::ALL, Names::Nothing, |_| json!({ "full_name": "Myself" })),
    row("get", "/users/{id}", STAFF, Names::User, nothing),
    row(
        "put",
        "/users/{id}",
        &[ClinicAdmin],
        Names::User,
        |scene| json!({ "full_name": "New Hand", "email": scene.email() }),
    ),
    row(
        "patch",
        "/users/{id}/status",
        &[ClinicAdmin],
        Names::User,
        |_| json!({ "status": "suspended" }),
    ),
    row("post", "/users/{id}/invitation", &[ClinicAdmin], Names::User, nothing),
    row("delete", "/users/{id}", &[ClinicAdmin], Names::User, nothing),
];
