//! Patients.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/patients", CLINIC, Names::Nothing, nothing),
    row("post", "/patients", DESK, Names::Nothing, |_| json!({ "full_name": "Anand Kurup" })),
    row("get", "/patients/{id}", CLINIC, Names::Patient, nothing),
    row(
        "put",
        "/patients/{id}",
        DESK_AND_PATIENT,
        Names::Patient,
        |_| json!({ "full_name": "Lakshmi Menon" }),
    ),
    row("delete", "/patients/{id}", DESK, Names::Patient, nothing),
];
