//! How somebody wants to be reached.

use nadi::auth::Role;
use serde_json::json;

use super::fault;
use crate::support::TestClinic;

const PATH: &str = "/users/me/preferences";

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_how_to_be_reached_and_a_patients_language_is_the_records() {
    let (_platform, clinic) = TestClinic::new().await;
    let patient = clinic.patient().await;
    let unsaid = json!({ "language": null, "time_zone": null,
        "channels": { "order": [], "service": true, "reminders": true, "marketing": false } });
    let before = patient.get(PATH).await.expect(200);
    assert_eq!(before.body, unsaid);
    let said = json!({ "language": "ml", "time_zone": "Asia/Dubai",
        "channels": { "order": ["email", "whatsapp"], "service": true, "reminders": false, "marketing": true } });

    let set = patient.put(PATH, before.header("etag"), &said).await.expect(200);

    assert_eq!(set.body, said);
    assert_eq!(patient.get(PATH).await.body, said);
    let record = format!("/patients/{}", clinic.patients[0]);
    assert_eq!(patient.get(&record).await.expect(200).body["language"], "ml");
    assert_eq!(clinic.desk().await.get(PATH).await.expect(200).body, unsaid);
    patient.put(PATH, before.header("etag"), &said).await.expect(412);
    let me = patient.get("/users/me").await.expect(200);
    assert_eq!(me.header("etag"), set.header("etag"), "a sub-resource has its parent's tag");
    let emptied = patient.put(PATH, "*", &json!({})).await.expect(200);
    assert_eq!(emptied.body, unsaid);
    let log = "select count(*) from audit_log where action = 'account.preferences_changed' and about_id is not null";
    assert_eq!(clinic.count(log).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_way_and_no_place_is_named() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.caller(Role::Therapist).await;
    for (body, faults) in [
        (json!({ "time_zone": "Mars/Base" }), fault("/time_zone", "unknown_value")),
        (
            json!({ "channels": { "order": ["pigeon"] } }),
            fault("/channels/order/0", "unknown_value"),
        ),
        (json!({ "channels": { "order": ["sms", "sms"] } }), fault("/channels/order", "repeated")),
        (json!({ "channels": { "codes": false } }), fault("/channels/codes", "unknown_field")),
    ] {
        assert_eq!(desk.put(PATH, "*", &body).await.expect(422).faults(), faults);
    }
}
