//! Visits that begin just now.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use nadi::time::show;
use serde_json::json;

use crate::support::TestClinic;

/// The doctor sits at every hour, where midnight is far away.
async fn sits_now(clinic: &TestClinic, now: DateTime<Utc>) {
    let mut inside = clinic.connection().await;
    sqlx::query("update availability set starts_at = '00:00', ends_at = '24:00'")
        .execute(&mut inside)
        .await
        .unwrap();
    let is_day = (6..18).contains(&chrono::Timelike::hour(&now));
    sqlx::query("update locations set time_zone = $1")
        .bind(if is_day { "UTC" } else { "Etc/GMT-12" })
        .execute(&mut inside)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_its_first_answer_when_the_time_has_come() {
    let (platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    sits_now(&clinic, now).await;
    let visit = clinic.visit(&show(now + TimeDelta::minutes(3)));
    let first = desk.post_with_key("/appointments", &visit, "desk-1").await.expect(201);
    let (from, to) = (now + TimeDelta::hours(-2), now + TimeDelta::minutes(2));
    let off = json!({ "starts_at": show(from), "ends_at": show(to) });
    let path = format!("/doctors/{}/time-off", clinic.doctor);
    let away = admin.post_with_key(&path, &off, "away-1").await.expect(201);

    platform.clock.advance(TimeDelta::minutes(6));

    let again = desk.post_with_key("/appointments", &visit, "desk-1").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, first.body);
    let again = admin.post_with_key(&path, &off, "away-1").await.expect(201);
    assert_eq!(again.body, away.body);
    let late = desk.post_with_key("/appointments", &visit, "desk-2").await.expect(422);
    assert_eq!(late.faults(), [("/starts_at".to_owned(), "in_the_past".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_visit_that_has_begun_by_the_time_it_is_booked_nobody_is_told() {
    let (platform, clinic) = TestClinic::new().await;
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    sits_now(&clinic, now).await;
    // As if the request had waited so long for its locks.
    platform.clock.advance(TimeDelta::minutes(-10));
    let desk = clinic.desk().await;

    let visit = clinic.visit(&show(now - TimeDelta::minutes(5)));
    let booked = desk.post("/appointments", &visit).await.expect(201);

    let told = "select count(*) from outbox where patient_id is not null";
    assert_eq!(clinic.count(told).await, 0);
    platform.clock.advance(TimeDelta::minutes(10));
    desk.delete(&format!("/appointments/{}", booked.id())).await.expect(200);
    assert_eq!(clinic.count(told).await, 0);
}
