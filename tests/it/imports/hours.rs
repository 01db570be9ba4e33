//! Doctors' hours.

use nadi::auth::Role;
use serde_json::json;

use super::{DOCTOR, faults, import, owned};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_replaced_doctor_by_doctor_all_of_a_file_or_nothing() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let good = format!(
        "doctor,location,weekday,starts_at,ends_at,breaks,valid_from\n\
         {DOCTOR},,Monday,09:00,17:00,13:00-14:00; 16:00-16:15,\n\
         {DOCTOR},{},2,10:00,24:00,,2026-01-01\n",
        clinic.location
    );
    let bad = format!(
        "{good}{DOCTOR},,mon,16:30,18:00,,\n{DOCTOR},,8,12:00,9,noon,\nx@x.example,Nowhere,,09:00,10:00,,\n"
    );
    let before = clinic.count("select count(*) from availability").await;

    let tried = import(&admin, "availability?dry_run=true", &bad).await.expect(200);
    assert_eq!(
        faults(&tried),
        owned([
            (4, "starts_at", "overlaps"),
            (5, "breaks", "invalid_format"),
            (5, "weekday", "out_of_range"),
            (5, "ends_at", "invalid_format"),
            (6, "doctor", "not_found"),
            (6, "location", "not_found"),
            (6, "weekday", "required"),
        ])
    );
    import(&admin, "availability", &bad).await.expect(422);
    assert_eq!(clinic.count("select count(*) from availability").await, before);
    let tried = import(&admin, "availability?dry_run=true", &good).await.expect(200);
    assert_eq!(faults(&tried), []);
    assert_eq!(clinic.count("select count(*) from availability").await, before);

    let done = import(&admin, "availability", &good).await.expect(200);
    assert_eq!((&done.body["doctors"], &done.body["lines"]), (&json!(1), &json!(2)));
    let hours = admin.get(&format!("/doctors/{}/availability", clinic.doctor)).await.expect(200);
    let lines = hours.body["items"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["breaks"][1], json!({ "starts_at": "16:00", "ends_at": "16:15" }));
    assert_eq!((&lines[1]["weekday"], &lines[1]["ends_at"]), (&json!(2), &json!("24:00")));
    import(&admin, "availability", &good).await.expect(200);
    import(&clinic.caller(Role::Receptionist).await, "availability", &good).await.expect(403);
}
