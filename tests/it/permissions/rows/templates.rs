//! What messages say.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/messages/templates", &[ClinicAdmin], Names::Nothing, nothing),
    row("get", "/messages/templates/{name}", &[ClinicAdmin], Names::Template, nothing),
    row(
        "put",
        "/messages/templates/{name}",
        &[ClinicAdmin],
        Names::Template,
        |_| json!({ "body": "Dear {given_name}, your visit is on {when}." }),
    ),
    row("post", "/messages/templates/{name}/preview", &[ClinicAdmin], Names::Template, |_| {
        json!({})
    }),
    row("delete", "/messages/templates/{name}", &[ClinicAdmin], Names::Template, nothing),
];
