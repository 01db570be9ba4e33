//! Doctors, their hours and their absences.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/doctors", CLINIC, Names::Nothing, nothing),
    row(
        "post",
        "/doctors",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "full_name": "New Vaidya", "email": scene.email() }),
    ),
    row("get", "/doctors/specializations", CLINIC, Names::Nothing, nothing),
    row("get", "/doctors/{id}", CLINIC, Names::NewDoctor, nothing),
    row(
        "put",
        "/doctors/{id}",
        &[ClinicAdmin],
        Names::NewDoctor,
        |scene| json!({ "full_name": "A Vaidya", "email": scene.email() }),
    ),
    row("delete", "/doctors/{id}", &[ClinicAdmin], Names::NewDoctor, nothing),
    row("get", "/doctors/{id}/availability", CLINIC, Names::Doctor, nothing),
    row(
        "put",
        "/doctors/{id}/availability",
        &[ClinicAdmin],
        Names::NewDoctor,
        |_| json!({ "items": [] }),
    ),
    row("get", "/doctors/{id}/time-off", CLINIC, Names::Doctor, nothing),
    row(
        "post",
        "/doctors/{id}/time-off",
        &[ClinicAdmin],
        Names::NewDoctor,
        |_| json!({ "starts_at": "2099-03-01T00:00:00Z", "ends_at": "2099-03-02T00:00:00Z" }),
    ),
    row("get", "/doctors/{id}/time-off/{time_off_id}", CLINIC, Names::TimeOff, nothing),
    row("delete", "/doctors/{id}/time-off/{time_off_id}", &[ClinicAdmin], Names::TimeOff, nothing),
];
