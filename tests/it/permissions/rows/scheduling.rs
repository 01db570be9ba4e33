//! The rules of booking, holidays, extra days, resources.

use super::*;

pub(in crate::permissions) const ROWS: &[Row] = &[
    row("get", "/settings/scheduling", &[ClinicAdmin], Names::Nothing, nothing),
    row("put", "/settings/scheduling", &[ClinicAdmin], Names::Nothing, |_| json!({})),
    row("get", "/holidays", CLINIC, Names::Nothing, nothing),
    row("post", "/holidays", &[ClinicAdmin], Names::Nothing, holiday),
    row("get", "/holidays/{id}", CLINIC, Names::Holiday, nothing),
    row("put", "/holidays/{id}", &[ClinicAdmin], Names::Holiday, holiday),
    row("delete", "/holidays/{id}", &[ClinicAdmin], Names::Holiday, nothing),
    row("get", "/resources", CLINIC, Names::Nothing, nothing),
    row("post", "/resources", &[ClinicAdmin], Names::Nothing, equipment),
    row("get", "/resources/{id}", CLINIC, Names::Resource, nothing),
    row("put", "/resources/{id}", &[ClinicAdmin], Names::Resource, equipment),
    row("delete", "/resources/{id}", &[ClinicAdmin], Names::Resource, nothing),
    row("get", "/doctors/{id}/extra-hours", CLINIC, Names::Doctor, nothing),
    row(
        "post",
        "/doctors/{id}/extra-hours",
        &[ClinicAdmin],
        Names::NewDoctor,
        |scene| json!({ "location_id": scene.here.location, "day": "2099-03-01", "starts_at": "10:00", "ends_at": "12:00" }),
    ),
    row("get", "/doctors/{id}/extra-hours/{extra_hours_id}", CLINIC, Names::ExtraHours, nothing),
    row(
        "delete",
        "/doctors/{id}/extra-hours/{extra_hours_id}",
        &[ClinicAdmin],
        Names::ExtraHours,
        nothing,
    ),
];

fn holiday(_: &Scene) -> Value {
    json!({ "first_day": "2098-12-25", "name": "Christmas" })
}

fn equipment(scene: &Scene) -> Value {
    json!({ "kind": "equipment", "name": scene.slug() })
}
