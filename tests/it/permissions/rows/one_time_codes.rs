//! Patients' way in: at clinics alone.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row(
        "post",
        "/auth/otp/request",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "identifier": "nobody@mail.example" }),
    ),
    row(
        "post",
        "/auth/otp/verify",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "request_id": nadi::ids::new_uuid(), "code": "000000" }),
    ),
    row(
        "post",
        "/auth/otp/choose",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "choice_token": "x", "user_id": nadi::ids::new_uuid() }),
    ),
    row(
        "post",
        "/auth/register",
        ANYBODY,
        Names::Nothing,
        |_| json!({ "full_name": "Anjali Pillai", "phone": "+919847077777" }),
    ),
];
