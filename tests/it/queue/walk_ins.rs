//! Who comes without a booking: taken in now, beside what is booked where it must be, and said so.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{sits_now, text};
use crate::support::TestClinic;

fn here(clinic: &TestClinic, patient: Uuid) -> Value {
    json!({ "patient_id": patient, "doctor_id": clinic.doctor, "reason": "a sting" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_in_starts_now_with_a_token_and_an_overlap_is_on_purpose() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let desk = clinic.desk().await;

    let first = desk.post("/queue/walk-ins", &here(&clinic, clinic.patients[0])).await.expect(201);
    let mut urgent = here(&clinic, clinic.patients[1]);
    urgent["priority"] = json!("emergency");
    let second = desk.post("/queue/walk-ins", &urgent).await.expect(201);

    let of = |name: &str| (first.body[name].clone(), second.body[name].clone());
    assert_eq!(of("token"), (json!(1), json!(2)));
    assert_eq!(of("goes_by"), (json!("arrival"), json!("emergency")));
    assert_eq!(of("place"), (json!(1), json!(1)));
    assert_eq!(of("walk_in"), (json!(true), json!(true)));
    let visit = async |item: &Value| {
        desk.get(&format!("/appointments/{}", text(&item["appointment_id"]))).await.expect(200).body
    };
    let (one, other) = (visit(&first.body).await, visit(&second.body).await);
    assert_eq!((&one["status"], &one["overbooked"]), (&json!("checked_in"), &json!(false)));
    assert_eq!((&other["overbooked"], &other["token"]), (&json!(true), &json!(2)));
    for (sql, count) in [
        ("select count(*) from appointments where overbook_reason = 'walk-in'", 1),
        ("select count(*) from claims", 4),
        ("select count(*) from outbox where purpose = 'appointment.booked'", 0),
        ("select count(*) from audit_log where action = 'appointment.checked_in'", 2),
    ] {
        assert_eq!(clinic.count(sql).await, count, "{sql}");
    }
    let queue = desk.get("/queue").await.expect(200);
    assert_eq!(queue.body["items"][0]["token"], 2, "today's, the emergency first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_not_in_two_places_unless_somebody_says_why() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let desk = clinic.desk().await;
    let mut body = here(&clinic, clinic.patients[0]);
    let first = desk.post_with_key("/queue/walk-ins", &body, "a").await.expect(201);
    let replayed = desk.post_with_key("/queue/walk-ins", &body, "a").await.expect(201);
    assert_eq!(replayed.body, first.body);

    let twice = desk.post("/queue/walk-ins", &body).await.expect(409);

    assert_eq!(twice.problem(), "slot-taken");
    assert_eq!(twice.body["appointment_id"], first.body["appointment_id"]);
    body["overbook"] = json!({ "reason": "an eye beside the sting" });
    desk.post("/queue/walk-ins", &body).await.expect(201);
    let said = "select count(*) from appointments where overbook_reason like 'an eye%'";
    assert_eq!(clinic.count(said).await, 1);
    assert_eq!(clinic.count("select count(*) from appointments").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_door_gets_tokens_without_gaps() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let desk = clinic.desk().await;
    let mut crowd = JoinSet::new();
    for _ in 0..12 {
        let body = here(&clinic, clinic.another_patient().await);
        let desk = desk.clone();
        crowd.spawn(async move { desk.post("/queue/walk-ins", &body).await.expect(201).body });
    }

    let taken_in = crowd.join_all().await;

    let mut tokens: Vec<i64> =
        taken_in.iter().map(|item| item["token"].as_i64().unwrap()).collect();
    tokens.sort();
    assert_eq!(tokens, (1..=12).collect::<Vec<_>>());
    let counted = "select count(*) from appointments where overbook_reason = 'walk-in'";
    assert_eq!(clinic.count(counted).await, 11, "all but the first are beside somebody");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_doctor_is_not_nobody_walks_in() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let desk = clinic.desk().await;
    let mut inside = clinic.connection().await;
    let refused =
        async |body: Value| desk.post("/queue/walk-ins", &body).await.expect(422).faults();
    let fault = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    let body = here(&clinic, clinic.patients[0]);

    sqlx::query("insert into time_off (id, doctor_id, during) values (gen_random_uuid(), $1, tstzrange(now() - interval '1 day', now() + interval '1 day'))")
        .bind(clinic.doctor)
        .execute(&mut inside)
        .await
        .unwrap();
    assert_eq!(refused(body.clone()).await, fault("/doctor_id", "on_leave"));
    sqlx::query("delete from availability").execute(&mut inside).await.unwrap();
    assert_eq!(refused(body.clone()).await, fault("/doctor_id", "outside_hours"));
    let mut nobody = body.clone();
    nobody["patient_id"] = json!(nadi::ids::new_uuid());
    assert_eq!(refused(nobody).await, fault("/patient_id", "not_found"));
    let mut at_home = body;
    at_home["kind"] = json!("home_visit");
    assert_eq!(refused(at_home).await, fault("/kind", "unknown_value"));
    assert_eq!(clinic.count("select count(*) from appointments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_before_the_doctor_has_the_first_time_after() {
    let (_platform, clinic) = TestClinic::new().await;
    sits_now(&clinic).await;
    let desk = clinic.desk().await;
    let mut inside = clinic.connection().await;
    // He comes at the next full hour that is at least a minute away; it is day there.
    let opens: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(
        "with opening as (
           select date_trunc('hour', now() + interval '1 minute') + interval '1 hour' as at, (select time_zone from locations) as zone)
         update availability set starts_at = (opening.at at time zone zone)::time, ends_at = '23:00'
         from opening returning opening.at",
    )
    .fetch_one(&mut inside)
    .await
    .unwrap();

    let early = desk.post("/queue/walk-ins", &here(&clinic, clinic.patients[0])).await.expect(201);

    assert_eq!(early.body["starts_at"], nadi::time::show(opens));
    assert_eq!(early.body["token"], 1);
}
