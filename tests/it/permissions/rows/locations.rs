//! Locations.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/locations", CLINIC, Names::Nothing, nothing),
    row(
        "post",
        "/locations",
        &[ClinicAdmin],
        Names::Nothing,
        |scene| json!({ "name": scene.slug() }),
    ),
    row("get", "/locations/{id}", CLINIC, Names::Location, nothing),
    row(
        "put",
        "/locations/{id}",
        &[ClinicAdmin],
        Names::Location,
        |scene| json!({ "name": scene.slug() }),
    ),
    row("delete", "/locations/{id}", &[ClinicAdmin], Names::Location, nothing),
];
