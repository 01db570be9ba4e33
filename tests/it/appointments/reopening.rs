//! Undoing: what goes back, what it gets again, and when it is too late.

use chrono::{DateTime, TimeDelta, Utc};
use nadi::auth::Role;
use nadi::time::show;
use serde_json::{Value, json};

use super::life::step;
use super::{HALF_PAST, TEN};
use crate::support::{Answer, Caller, TestClinic, until};

async fn reopen(caller: &Caller, visit: &str) -> Answer {
    let path = format!("/appointments/{visit}/reopen");
    caller.post(&path, &json!({ "reason": "a wrong click" })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_goes_back_to_the_state_before() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let visit = admin.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    let way = ["confirm", "check-in", "start", "complete"];
    let states = ["booked", "confirmed", "checked_in", "in_consultation", "completed"];
    for taken in way {
        step(&admin, &visit, taken).await.expect(200);
    }

    for before in states[..4].iter().rev() {
        assert_eq!(reopen(&admin, &visit).await.expect(200).body["status"], *before);
    }

    let nothing = reopen(&admin, &visit).await.expect(409);
    assert_eq!(nothing.problem(), "illegal-transition");
    let stands = admin.get(&format!("/appointments/{visit}")).await;
    for time in ["checked_in_at", "started_at", "completed_at"] {
        assert_eq!(stands.body[time], Value::Null, "{time}");
    }
    let past = admin.get(&format!("/appointments/{visit}/history")).await.expect(200);
    let items = past.body["items"].as_array().unwrap();
    assert_eq!(items.iter().filter(|item| item["what"] == "reopened").count(), 4);
    assert_eq!(items.last().unwrap()["reason"], "a wrong click");
    for taken in way {
        step(&admin, &visit, taken).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_visit_gets_its_time_and_its_reminders_again_if_nobody_has_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let ahead = "select count(*) from outbox where purpose like 'appointment.reminder%' and done_at is null";
    for way in [&["confirm", "cancel"][..], &["confirm", "no-show"]] {
        let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
        for taken in way {
            step(&desk, &visit, taken).await.expect(200);
        }
        assert_eq!(clinic.count(ahead).await, 0);

        let again = reopen(&desk, &visit).await.expect(200);

        assert_eq!(again.body["status"], "confirmed", "as it was");
        assert_eq!(again.body["cancel_reason"], Value::Null);
        assert_eq!(clinic.count(ahead).await, 2);
        let others = clinic.visit_of(clinic.patients[1], TEN);
        assert_eq!(desk.post("/appointments", &others).await.expect(409).problem(), "slot-taken");
        step(&desk, &visit, "cancel").await.expect(200);
    }
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    step(&desk, &visit, "cancel").await.expect(200);
    desk.post("/appointments", &clinic.visit_of(clinic.patients[1], TEN)).await.expect(201);

    let gone = reopen(&desk, &visit).await.expect(409);

    assert_eq!((gone.problem(), &gone.body["alternatives"][0]), ("slot-taken", &json!(HALF_PAST)));
    let stands = desk.get(&format!("/appointments/{visit}")).await;
    assert_eq!(stands.body["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_another_day_stays() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    step(&desk, &visit, "cancel").await.expect(200);

    sqlx::query("update appointment_changes set at = at - interval '1 day'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    assert_eq!(reopen(&desk, &visit).await.expect(409).problem(), "not-of-today");
    drop(platform);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_doctor_did_the_desk_does_not_undo() {
    let (_platform, clinic) = TestClinic::new().await;
    let (desk, doctor) = (clinic.desk().await, clinic.caller(Role::Doctor).await);
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    step(&desk, &visit, "check-in").await.expect(200);
    step(&doctor, &visit, "start").await.expect(200);

    assert_eq!(reopen(&desk, &visit).await.expect(403).problem(), "forbidden");
    assert_eq!(reopen(&doctor, &visit).await.expect(200).body["status"], "checked_in");
    assert_eq!(reopen(&desk, &visit).await.expect(200).body["status"], "booked");
    let path = format!("/appointments/{visit}/reopen");
    let bare = desk.post(&path, &json!({})).await.expect(422);
    assert_eq!(bare.faults(), [("/reason".to_owned(), "required".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_reopen_and_book_at_once_get_the_time_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for day in 5..15 {
        let at = format!("2099-01-{day:02}T04:30:00Z");
        let visit = desk.post("/appointments", &clinic.visit(&at)).await.expect(201).id();
        step(&desk, &visit, "cancel").await.expect(200);
        let other = clinic.visit_of(clinic.patients[1], &at);

        let (again, booked) =
            tokio::join!(reopen(&desk, &visit), desk.post("/appointments", &other));

        let mut statuses = [again.status.as_u16(), booked.status.as_u16()];
        statuses.sort();
        assert!([[200, 409], [201, 409]].contains(&statuses), "{} {}", again.text, booked.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_late_is_marked_and_no_longer_once_it_is_undone() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut inside = clinic.connection().await;
    sqlx::query("update availability set starts_at = '00:00', ends_at = '24:00'")
        .execute(&mut inside)
        .await
        .unwrap();
    let soon = |minutes| {
        let at = Utc::now() + TimeDelta::minutes(minutes);
        show(at - TimeDelta::seconds(at.timestamp() % 60))
    };
    // Not over midnight, where nobody sits throughout.
    let in_hours = |hours: i64| soon(hours * 60);
    let cases = [(in_hours(23), true), (in_hours(26), false)];
    for (at, late) in cases {
        let mut visit = clinic.visit(&at);
        visit["duration_minutes"] = json!(5);
        let booked = desk.post("/appointments", &visit).await;
        if booked.status == 422 {
            assert_eq!(booked.faults()[0].1, "outside_hours", "{}", booked.text);
            continue; // midnight at the clinic lies in these five minutes
        }
        let visit = booked.expect(201).id();
        let cancelled = step(&desk, &visit, "cancel").await.expect(200);
        assert_eq!(cancelled.body["late_cancelled"], late, "{at}");
        if late {
            assert_eq!(reopen(&desk, &visit).await.expect(200).body["late_cancelled"], false);
        }
    }
}

/// The visits that are booked began so long ago, and were short.
async fn let_it_have_begun(clinic: &TestClinic, at: DateTime<Utc>) {
    for statement in [
        "update claims set during = tstzrange($1, $1 + interval '5 min')
         where appointment_id in (select id from appointments where status = 'booked')",
        "update appointments set during = tstzrange($1, $1 + interval '5 min') where status = 'booked'",
    ] {
        sqlx::query(statement).bind(at).execute(&mut clinic.connection().await).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_after_all_is_not_missed_again_at_once() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for statement in [
        "update scheduling_rules set no_show_after_minutes = 30",
        "update availability set starts_at = '00:00', ends_at = '24:00'",
    ] {
        sqlx::query(statement).execute(&mut clinic.connection().await).await.unwrap();
    }
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    // Not over midnight, where nobody sits throughout.
    let day = |at: DateTime<Utc>| at.with_timezone(&chrono_tz::Asia::Kolkata).date_naive();
    let mut began = Utc::now() - TimeDelta::minutes(40);
    if day(began) != day(began + TimeDelta::minutes(5)) {
        began -= TimeDelta::minutes(5);
    }
    let_it_have_begun(&clinic, began).await;
    clinic.let_it_be_due(&platform, "chore.no_show").await;
    let path = format!("/appointments/{visit}");
    until("it is marked", async || desk.get(&path).await.body["status"] == "no_show").await;

    assert_eq!(reopen(&desk, &visit).await.expect(200).body["status"], "booked");

    clinic.let_it_be_due(&platform, "nothing else").await; // the chore's own time is long past
    let ahead = "select count(*) from outbox where purpose = 'chore.no_show' and done_at is null
                 and due_at > now() + interval '25 min'";
    until("it was put off", async || clinic.count(ahead).await == 1).await;
    let open = "select count(*) from outbox where purpose = 'chore.no_show' and done_at is null";
    assert_eq!(clinic.count(open).await, 1);
    assert_eq!(desk.get(&path).await.body["status"], "booked", "half an hour to check in");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_location_was_closed_nothing_in_the_request_is_at_fault() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    step(&desk, &visit, "cancel").await.expect(200);
    sqlx::query("update locations set deleted_at = now()")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();

    assert_eq!(reopen(&desk, &visit).await.expect(409).problem(), "cannot-reopen");
}
