//! The book as a calendar, its feeds, and what comes from files.

use super::*;

const OWN: &[Role] = &[Doctor, Therapist, Patient];

pub(in crate::permissions) const ROWS: &[Row] = &[
    row(
        "get",
        "/appointments/calendar?view=week&date=2099-01-05",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Nothing,
        nothing,
    ),
    row("get", "/calendar/feed", OWN, Names::Nothing, nothing),
    row("post", "/calendar/feed/rotate", OWN, Names::Nothing, nothing),
    row("get", "/calendar/{feed_token}.ics", ANYBODY, Names::Nothing, nothing),
    row(
        "post",
        "/imports/availability?dry_run=true",
        &[ClinicAdmin],
        Names::Nothing,
        Scene::hours_file,
    ),
    row(
        "post",
        "/imports/appointments?dry_run=true",
        &[ClinicAdmin],
        Names::Nothing,
        Scene::visits_file,
    ),
];
