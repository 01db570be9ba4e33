//! What the platform does with clinics and their owners.

use super::*;
use crate::support::PASSWORD;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/clinics", PLATFORM, Names::Nothing, nothing),
    row("post", "/clinics", PLATFORM, Names::Nothing, |scene| {
        json!({
            "slug": scene.slug(), "name": "Kerala House", "time_zone": "Asia/Kolkata",
            "admin": { "full_name": "First Admin", "email": "first@kerala.example" },
        })
    }),
    row("get", "/clinics/{slug}", PLATFORM, Names::Clinic, nothing),
    row(
        "put",
        "/clinics/{slug}",
        PLATFORM,
        Names::Clinic,
        |_| json!({ "name": "Kerala House", "time_zone": "Asia/Kolkata" }),
    ),
    row("post", "/clinics/{slug}/suspend", &[SuperAdmin], Names::Clinic, nothing),
    row("post", "/clinics/{slug}/resume", &[SuperAdmin], Names::Clinic, nothing),
    row("post", "/clinics/{slug}/archive", &[SuperAdmin], Names::Clinic, nothing),
    row("get", "/clinic-admins", &[SuperAdmin], Names::Nothing, nothing),
    row(
        "post",
        "/clinic-admins",
        &[SuperAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "Owner", "email": format!("{}@owners.example", scene.slug()) }),
    ),
    row("get", "/clinic-admins/{id}", &[SuperAdmin], Names::Owner, nothing),
    row(
        "patch",
        "/clinic-admins/{id}/status",
        &[SuperAdmin],
        Names::Owner,
        |_| json!({ "status": "suspended" }),
    ),
    row("get", "/super-admins", &[SuperAdmin], Names::Nothing, nothing),
    row(
        "delete",
        "/super-admins/{id}/totp",
        &[SuperAdmin],
        Names::EnrolledSuperAdmin,
        |_| json!({ "password": PASSWORD }),
    ),
    row(
        "delete",
        "/clinic-admins/{id}/totp",
        &[SuperAdmin],
        Names::EnrolledOwner,
        |_| json!({ "password": PASSWORD }),
    ),
    row("post", "/clinic-admins/{id}/password-link", &[SuperAdmin], Names::Owner, nothing),
];
