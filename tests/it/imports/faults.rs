//! What is wrong with a file: by row and column, and nothing is changed.

use serde_json::json;

use super::{DOCTOR, faults, import, numbers, owned};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_named_by_row_and_column_and_nothing_is_changed() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let mut connection = clinic.connection().await;
    sqlx::query("update locations set time_zone = 'Europe/Berlin'")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("update patients set phone = '+919847012345'")
        .execute(&mut connection)
        .await
        .unwrap();
    let away = json!({ "starts_at": "2099-01-07T00:00:00Z", "ends_at": "2099-01-08T00:00:00Z" });
    admin.post(&format!("/doctors/{}/time-off", clinic.doctor), &away).await.expect(201);
    let patient = &numbers(&clinic).await[0];
    let file = format!(
        "patient,doctor,date,time,location,kind,status,duration_minutes,reason\n\
         P-999999,nobody@x.example,2099-01-05,10:00,Nowhere,,,,\n\
         +919847012345,{DOCTOR},5.1.2099,10,,,,,\n\
         {patient},{DOCTOR},2099-03-29,02:30,,,,,\n\
         {patient},{DOCTOR},2099-01-05,10:00,,home_visit,,long,\n\
         {patient},{DOCTOR},2099-01-05,10:00,,,completed,,\n\
         {patient},{DOCTOR},2020-01-05,10:00,,,booked,,\n\
         {patient},{DOCTOR},2099-01-05,07:00,,,,,\n\
         {patient},{DOCTOR},2099-01-07,10:00,,,,,\n\
         {patient},{DOCTOR},2099-01-05,11:00,,,,,\n\
         {patient},{DOCTOR},2099-01-05,11:15,,,,,one,more\n\
         {patient},,2099-01-05,12:00,,,,,\n"
    );

    let tried = import(&admin, "appointments?dry_run=true", &file).await.expect(200);

    let expected = owned([
        (2, "patient", "not_found"),
        (2, "doctor", "not_found"),
        (2, "location", "not_found"),
        (3, "patient", "ambiguous"),
        (3, "date", "invalid_format"),
        (3, "time", "invalid_format"),
        (4, "time", "no_such_time"),
        (5, "duration_minutes", "wrong_type"),
        (5, "address", "required"),
        (6, "status", "unknown_value"),
        (7, "status", "unknown_value"),
        (8, "time", "outside_hours"),
        (9, "time", "on_leave"),
        (11, "", "invalid_format"),
        (11, "time", "slot_taken"),
        (12, "doctor", "required"),
    ]);
    assert_eq!(faults(&tried), expected, "{}", tried.text);
    assert!(tried.text.contains("by row 10"), "{}", tried.text);
    let refused = import(&admin, "appointments", &file).await.expect(422);
    let pointers: Vec<String> = refused.faults().into_iter().map(|fault| fault.0).collect();
    let expected: Vec<String> =
        expected.iter().map(|(row, column, _)| format!("/{row}/{column}")).collect();
    assert_eq!(pointers, expected, "the real run says the same");
    assert_eq!(clinic.count("select count(*) from appointments").await, 0);
    assert_eq!(clinic.count("select count(*) from outbox where patient_id is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_ours_is_refused_before_anything_is_looked_at() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    admin.post("/imports/appointments", &json!({})).await.expect(415);
    let wrong = import(&admin, "appointments", "patient,when\nx,y\n").await.expect(422);
    let pointers: Vec<String> = wrong.faults().into_iter().map(|fault| fault.0).collect();
    assert_eq!(pointers, ["/1/when", "/1/doctor", "/1/date", "/1/time"]);
    let many = format!("patient,doctor,date,time\n{}", "a,b,c,d\n".repeat(501));
    let many = import(&admin, "appointments", &many).await.expect(422);
    assert_eq!(many.faults(), [("/502/".to_owned(), "too_long".to_owned())]);
    let large = "x".repeat(1024 * 1024 + 1);
    import(&admin, "availability", &large).await.expect(413);
    assert_eq!(
        import(&admin, "availability?dryrun=true", "doctor,weekday\n").await.expect(422).faults()
            [0]
        .0,
        "dryrun"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fault_of_a_row_hides_no_other_and_blank_lines_are_counted() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let patient = clinic.patients[0];
    let file = format!(
        "patient,doctor,date,time,kind,duration_minutes,status\r\n\
         P-999999,{DOCTOR},2099-01-05,10:00,xyz,5000,\r\n\r\n\r\n\
         {patient},{DOCTOR},soon,10:00,xyz,,nonsense\r\n\
         {patient},{DOCTOR},2099-01-05,,,,completed\r\n"
    );

    let tried = import(&admin, "appointments?dry_run=true", &file).await.expect(200);

    let expected = [
        (2, "patient", "not_found"),
        (2, "kind", "unknown_value"),
        (2, "duration_minutes", "out_of_range"),
        (5, "date", "invalid_format"),
        (5, "status", "unknown_value"),
        (5, "kind", "unknown_value"),
        (6, "time", "required"),
    ];
    assert_eq!(faults(&tried), owned(expected), "{}", tried.text);
}
