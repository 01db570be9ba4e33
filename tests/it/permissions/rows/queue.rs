//! The queue, and the boards of waiting rooms.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/queue", DESK_AND_PATIENT, Names::Nothing, nothing),
    row("post", "/queue/walk-ins", DESK, Names::Nothing, Scene::walk_in),
    row(
        "post",
        "/queue/call-next",
        DESK,
        Names::Nothing,
        |scene| json!({ "doctor_id": scene.here.doctor }),
    ),
    row("post", "/queue/{appointment_id}/recall", DESK, Names::CheckedInVisit, nothing),
    row("post", "/queue/{appointment_id}/skip", DESK, Names::CheckedInVisit, nothing),
    row(
        "post",
        "/queue/{appointment_id}/priority",
        DESK,
        Names::CheckedInVisit,
        |_| json!({ "priority": "pregnant" }),
    ),
    row("get", "/display/{token}", ANYBODY, Names::Nothing, nothing),
    row("get", "/locations/{id}/display", DESK, Names::Location, nothing),
    row("post", "/locations/{id}/display/rotate", &[ClinicAdmin], Names::Location, nothing),
    row("delete", "/locations/{id}/display", &[ClinicAdmin], Names::Location, nothing),
];
