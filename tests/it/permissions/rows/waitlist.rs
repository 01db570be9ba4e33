//! The waitlist.

use super::*;

fn waits(scene: &Scene) -> Value {
    json!({ "patient_id": scene.here.patients[0], "doctor_id": scene.here.doctor })
}

pub(in crate::permissions) const ROWS: &[Row] = &[
    row(
        "get",
        "/waitlist",
        &[ClinicAdmin, Doctor, Receptionist, Therapist, Accountant, Patient],
        Names::Nothing,
        nothing,
    ),
    row("post", "/waitlist", DESK_AND_PATIENT, Names::Nothing, waits),
    // Nobody waits for a therapist.
    row(
        "get",
        "/waitlist/{id}",
        &[ClinicAdmin, Doctor, Receptionist, Accountant, Patient],
        Names::Waiting,
        nothing,
    ),
    row("delete", "/waitlist/{id}", DESK_AND_PATIENT, Names::Waiting, nothing),
    row("post", "/waitlist/{id}/accept", DESK_AND_PATIENT, Names::Offered, nothing),
    row("post", "/waitlist/{id}/decline", DESK_AND_PATIENT, Names::Offered, nothing),
];
