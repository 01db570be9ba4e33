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
    row("post", "/appointments/{id}/confirm", DESK_AND_PATIENT, Names::Visit, nothing),
    row("post", "/appointments/{id}/check-in", DESK, Names::Visit, nothing),
    row("post", "/appointments/{id}/start", &[ClinicAdmin, Doctor], Names::CheckedInVisit, nothing),
    row(
        "post",
        "/appointments/{id}/complete",
        &[ClinicAdmin, Doctor],
        Names::StartedVisit,
        nothing,
    ),
    row("post", "/appointments/{id}/no-show", DESK, Names::Visit, nothing),
    row(
        "post",
        "/appointments/{id}/reopen",
        DESK,
        Names::CancelledVisit,
        |_| json!({ "reason": "a wrong click" }),
    ),
    row("post", "/appointments/series", DESK, Names::Nothing, Scene::series),
    row(
        "get",
        "/appointments/series/{id}",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Series,
        nothing,
    ),
    row("delete", "/appointments/series/{id}", DESK, Names::Series, nothing),
    row("get", "/respond/{token}", ANYBODY, Names::Nothing, nothing),
    row("post", "/respond/{token}", ANYBODY, Names::Nothing, |_| json!({ "action": "confirm" })),
    row(
        "get",
        "/appointments/{id}/history",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Visit,
        nothing,
    ),
    row("get", "/doctors/{id}/slots?from=2099-01-05&to=2099-01-06", CLINIC, Names::Doctor, nothing),
];
