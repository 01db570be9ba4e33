//! The appointment book.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row(
        "get",
        "/appointments",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Nothing,
        nothing,
    ),
    row("post", "/appointments", DESK_AND_PATIENT, Names::Nothing, Scene::visit),
    row(
        "get",
        "/appointments/{id}",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Visit,
        nothing,
    ),
    row("put", "/appointments/{id}", DESK_AND_PATIENT, Names::Visit, Scene::visit),
    row("delete", "/appointments/{id}", DESK_AND_PATIENT, Names::Visit, nothing),
    row(
        "get",
        "/appointments/calendar?view=week&date=2099-01-05",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Nothing,
        nothing,
    ),
    row("post", "/imports/availability?dry_run=true", &[ClinicAdmin], Names::Nothing, Scene::hours_file),
    row("post", "/imports/appointments?dry_run=true", &[ClinicAdmin], Names::Nothing, Scene::visits_file),
    row("get", "/calendar/feed", &[Doctor, Therapist, Patient], Names::Nothing, nothing),
    row("post", "/calendar/feed/rotate", &[Doctor, Therapist, Patient], Names::Nothing, nothing),
    row("get", "/calendar/{feed_token}.ics", ANYBODY, Names::Nothing, nothing),
    row("get", "/doctors/{id}/slots?from=2099-01-05&to=2099-01-06", CLINIC, Names::Doctor, nothing),
];
