//! Providers, messages and consents.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/settings/messaging", &[ClinicAdmin], Names::Nothing, nothing),
    row(
        "put",
        "/settings/messaging",
        &[ClinicAdmin],
        Names::Nothing,
        |_| json!({ "policies": {} }),
    ),
    row("get", "/messages", &[ClinicAdmin], Names::Nothing, nothing),
    row("post", "/messages/{id}/retry", &[ClinicAdmin], Names::Message, nothing),
    row("get", "/patients/{id}/consents", CLINIC, Names::Patient, nothing),
    row(
        "post",
        "/patients/{id}/consents",
        DESK_AND_PATIENT,
        Names::Patient,
        |_| json!({ "kind": "reminders", "granted": false }),
    ),
    // Providers have no account: each proves itself by signature or address.
    row("get", "/webhooks/whatsapp", &[], Names::Nothing, nothing),
    row("post", "/webhooks/whatsapp", &[], Names::Nothing, nothing),
    row("post", "/webhooks/sms/{provider}/{key}", &[], Names::Nothing, nothing),
    row("post", "/webhooks/sms/{provider}", &[], Names::Nothing, nothing),
    row("post", "/webhooks/email/generic", &[], Names::Nothing, nothing),
    row("post", "/webhooks/email/bounces/{key}", &[], Names::Nothing, nothing),
];
