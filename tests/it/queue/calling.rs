//! Calling: one at a time whoever presses, again, and past those who do not come.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{DAY, booked, call_next, here, in_turn, post, step, text};
use crate::support::TestClinic;

#[tokio::test(flavor = "multi_thread")]
async fn ten_desks_press_at_once_and_one_patient_is_called_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 3).await;
    for expected in &visits {
        let mut pressing = JoinSet::new();
        for _ in 0..10 {
            let (desk, doctor) = (desk.clone(), clinic.doctor);
            pressing.spawn(async move {
                let whose = json!({ "doctor_id": doctor, "date": DAY });
                desk.post("/queue/call-next", &whose).await.expect(200).body
            });
        }
        for answer in pressing.join_all().await {
            assert_eq!(text(&answer["called"]["appointment_id"]), *expected);
            assert_eq!(
                (&answer["called"]["calls"], &answer["called"]["state"]),
                (&json!(1), &json!("called"))
            );
        }
        step(&doctor, expected, "start").await.expect(200);
    }

    let none = call_next(&clinic, &desk).await.expect(200);

    assert_eq!(none.body, json!({ "called": null, "waiting": 0 }));
    for (sql, count) in [
        ("select count(*) from live_events where kind = 'queue.called'", 3),
        ("select count(*) from audit_log where action = 'queue.called'", 3),
        ("select count(*) from queue_tokens where calls = 1 and state = 'called'", 3),
    ] {
        assert_eq!(clinic.count(sql).await, count, "{sql}");
    }
    let nobody = json!({ "doctor_id": nadi::ids::new_uuid() });
    let answer = desk.post("/queue/call-next", &nobody).await.expect(422);
    assert_eq!(answer.faults(), [("/doctor_id".to_owned(), "not_found".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_goes_after_the_next_three() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 6).await;
    let called = async || {
        text(&call_next(&clinic, &desk).await.expect(200).body["called"]["appointment_id"])
    };
    assert_eq!(called().await, visits[0]);

    let skipped = post(&desk, &format!("/queue/{}/skip", visits[0])).await.expect(200);

    assert_eq!((&skipped.body["state"], &skipped.body["place"]), (&json!("skipped"), &json!(4)));
    assert_eq!((&skipped.body["skips"], skipped.header("etag")), (&json!(1), "\"3\""));
    let again = post(&desk, &format!("/queue/{}/skip", visits[0])).await.expect(409);
    assert_eq!(again.problem(), "skipped");
    for expected in [1, 2, 3, 0, 4, 5] {
        assert_eq!(called().await, visits[expected], "turn of {expected}");
        step(&doctor, &visits[expected], "start").await.expect(200);
    }
    assert_eq!(
        clinic.count("select count(*) from live_events where kind = 'queue.skipped'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_called_again_or_out_of_turn_and_only_while_waiting() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 3).await;
    call_next(&clinic, &desk).await.expect(200);

    let again = post(&desk, &format!("/queue/{}/recall", visits[0])).await.expect(200);
    assert_eq!((&again.body["calls"], &again.body["state"]), (&json!(2), &json!("called")));
    post(&desk, &format!("/queue/{}/skip", visits[0])).await.expect(200);
    let back = post(&desk, &format!("/queue/{}/recall", visits[0])).await.expect(200);
    assert_eq!((&back.body["calls"], &back.body["skips"]), (&json!(3), &json!(1)));
    let out_of_turn = post(&desk, &format!("/queue/{}/recall", visits[2])).await.expect(200);
    assert_eq!(out_of_turn.body["place"], Value::Null);
    assert_eq!(in_turn(&desk).await, [visits[1].clone()]);
    let next = call_next(&clinic, &desk).await.expect(200);
    assert_eq!(
        text(&next.body["called"]["appointment_id"]),
        visits[0],
        "who was called first comes first"
    );

    step(&doctor, &visits[0], "start").await.expect(200);
    let inside = post(&desk, &format!("/queue/{}/recall", visits[0])).await.expect(409);
    assert_eq!(
        (inside.problem(), &inside.body["status"]),
        ("not-waiting", &json!("in_consultation"))
    );
    let absent = booked(&clinic, &desk, 8).await;
    assert_eq!(
        post(&desk, &format!("/queue/{absent}/skip")).await.expect(409).problem(),
        "not-waiting"
    );
    let nobody = nadi::ids::new_uuid();
    post(&desk, &format!("/queue/{nobody}/recall")).await.expect(404);
    let out_of_turn = "select count(*) from audit_log where action = 'queue.called' and (details ->> 'out_of_turn')::boolean";
    assert_eq!(clinic.count(out_of_turn).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_calls_nobody_else_and_a_stale_version_nobody() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 2).await;
    let whose = json!({ "doctor_id": clinic.doctor, "date": DAY });
    let first = desk.post_with_key("/queue/call-next", &whose, "press").await.expect(200);
    step(&doctor, &visits[0], "start").await.expect(200);

    let again = desk.post_with_key("/queue/call-next", &whose, "press").await.expect(200);

    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, first.body);
    let skip = |etag: &str, key: &str| {
        let request = desk.request(Method::POST, &format!("/queue/{}/skip", visits[1]));
        request.header("if-match", etag).header("idempotency-key", key)
    };
    assert_eq!(desk.send(skip("\"9\"", "a")).await.expect(412).problem(), "precondition-failed");
    let skipped = desk.send(skip("\"1\"", "b")).await.expect(200);
    let replayed = desk.send(skip("\"1\"", "b")).await.expect(200);
    assert_eq!(replayed.body, skipped.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn calling_one_again_who_is_called_ends_nobodys_skip() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visits = here(&clinic, &desk, 4).await;
    call_next(&clinic, &desk).await.expect(200);
    post(&desk, &format!("/queue/{}/skip", visits[0])).await.expect(200);
    call_next(&clinic, &desk).await.expect(200);

    for calls in [2, 3] {
        let again = post(&desk, &format!("/queue/{}/recall", visits[1])).await.expect(200);
        assert_eq!(again.body["calls"], calls);
    }

    step(&doctor, &visits[1], "start").await.expect(200);
    assert_eq!(in_turn(&desk).await, [2, 3, 0].map(|nth: usize| visits[nth].clone()));
    let next = call_next(&clinic, &desk).await.expect(200);
    assert_eq!(text(&next.body["called"]["appointment_id"]), visits[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_shown_by_a_press_that_calls_nobody_is_noted_as_read() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    here(&clinic, &desk, 1).await;
    let read = "select count(*) from audit_log a join appointments v on v.id = a.entity_id
                where a.action = 'queue.read' and a.about_id = v.patient_id";
    call_next(&clinic, &desk).await.expect(200);
    assert_eq!(clinic.count(read).await, 0, "the call itself is on record");

    call_next(&clinic, &desk).await.expect(200);

    assert_eq!(clinic.count(read).await, 1);
    let called = "select count(*) from audit_log where action = 'queue.called'";
    assert_eq!(clinic.count(called).await, 1);
}
