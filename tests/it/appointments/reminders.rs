//! What a visit has ahead of it: reminders that are made, moved and withdrawn with it, and the mark for who did not come.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::life::step;
use super::{HALF_PAST, TEN};
use crate::support::{TestClinic, until};

type Row = (String, DateTime<Utc>, DateTime<Utc>);

/// What is still to come for the patient, the earliest first.
async fn ahead(clinic: &TestClinic) -> Vec<Row> {
    sqlx::query_as(
        "select purpose, due_at, expires_at from outbox
         where purpose like '%reminder%' and done_at is null order by due_at",
    )
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The day before and two hours before, each up to so many minutes earlier.
fn assert_reminds(rows: &[Row], starts_at: &str) {
    let starts_at = at(starts_at);
    let expected = [("appointment.reminder_24h", 1440, 20), ("appointment.reminder_2h", 120, 10)];
    assert_eq!(rows.len(), 2, "{rows:?}");
    for ((purpose, due, _), (name, minutes, earlier)) in rows.iter().zip(expected) {
        let latest = starts_at - TimeDelta::minutes(minutes);
        assert_eq!(purpose, name);
        assert!(*due <= latest && latest - TimeDelta::minutes(earlier) <= *due, "{due} {latest}");
    }
    assert_eq!((rows[0].2, rows[1].2), (rows[1].1, starts_at), "none comes beside the next one");
}

async fn set(clinic: &TestClinic, sql: &'static str) {
    sqlx::query(sql).execute(&mut clinic.connection().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_are_made_moved_and_withdrawn_with_the_visit() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    assert_reminds(&ahead(&clinic).await, TEN);

    desk.put(&format!("/appointments/{visit}"), "*", &clinic.visit(HALF_PAST)).await.expect(200);
    assert_reminds(&ahead(&clinic).await, HALF_PAST);
    let mut told = clinic.visit(HALF_PAST);
    told["reason"] = json!("a cough");
    desk.put(&format!("/appointments/{visit}"), "*", &told).await.expect(200);
    step(&desk, &visit, "confirm").await.expect(200);
    assert_reminds(&ahead(&clinic).await, HALF_PAST);

    step(&desk, &visit, "check-in").await.expect(200);
    assert_eq!(ahead(&clinic).await, [], "who is here needs no reminder");
    for (n, ends) in ["cancel", "no-show"].iter().enumerate() {
        let day = format!("2099-02-0{}T04:30:00Z", n + 1);
        let visit = desk.post("/appointments", &clinic.visit(&day)).await.expect(201).id();
        assert_reminds(&ahead(&clinic).await, &day);
        step(&desk, &visit, ends).await.expect(200);
        assert_eq!(ahead(&clinic).await, [], "{ends}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clinic_says_when_and_what_has_passed_is_left_out() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    set(&clinic, "update scheduling_rules set reminder_minutes = '{43200, 60, 60, 30}'").await;
    desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);
    let minutes: Vec<String> = ahead(&clinic).await.into_iter().map(|row| row.0).collect();
    assert_eq!(
        minutes,
        ["appointment.reminder_24h", "appointment.reminder_2h", "appointment.reminder_2h"]
    );

    set(&clinic, "delete from outbox").await;
    set(&clinic, "update availability set starts_at = '00:00', ends_at = '24:00'").await;
    set(&clinic, "update scheduling_rules set reminder_minutes = '{1440, 43200}'").await;
    let in_three_days = Utc::now() + TimeDelta::days(3);
    let noon = format!("{}T06:30:00Z", in_three_days.date_naive());
    desk.post("/appointments", &clinic.visit(&noon)).await.expect(201);
    assert_eq!(ahead(&clinic).await.len(), 1, "a month before has passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_is_sent_once_with_a_link_to_answer() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let awake =
        json!({ "policies": { "reminder": { "channels": ["email"], "accept_seconds": 30 } } });
    clinic.admin().await.put("/settings/messaging", "*", &awake).await.expect(200);
    desk.post("/appointments", &clinic.visit(TEN)).await.expect(201);

    clinic.let_it_be_due(&platform, "appointment.reminder_24h").await;
    let sent = "select count(*) from outbox where purpose = 'appointment.reminder_24h' and status = 'sent'";
    until("it is sent", async || clinic.count(sent).await == 1).await;

    let attempts = "select count(*) from outbox_attempts a join outbox o on o.id = a.outbox_id
                    where o.purpose = 'appointment.reminder_24h'";
    assert_eq!(clinic.count(attempts).await, 1);
    let items = platform.inbox.items().await.unwrap();
    let reminder = items.iter().find(|item| item.subject.starts_with("A reminder")).unwrap();
    assert!(reminder.body.contains("/respond/"), "{}", reminder.body);
    assert_eq!(ahead(&clinic).await.len(), 1, "the other one waits for its time");
}

/// The visits that are booked lie three hours back.
async fn let_the_visit_pass(clinic: &TestClinic) {
    for statement in [
        "update claims set during = tstzrange(now() - interval '3 hours', now() - interval '150 min')
         where appointment_id in (select id from appointments where status = 'booked')",
        "update appointments set during = tstzrange(now() - interval '3 hours', now() - interval '150 min')
         where status = 'booked'",
    ] {
        set(clinic, statement).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_come_is_marked_by_itself_and_nobody_else() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    set(&clinic, "update scheduling_rules set no_show_after_minutes = 30").await;
    let missed = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    let chores = "select count(*) from outbox where purpose = 'chore.no_show' and done_at is null";
    assert_eq!(clinic.count(chores).await, 1);
    let listed = clinic.admin().await.get("/messages?limit=200").await.expect(200);
    let purposes: Vec<&str> = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["purpose"].as_str().unwrap())
        .collect();
    assert!(!purposes.contains(&"chore.no_show"), "nobody's message: {purposes:?}");
    let moved = "select count(*) from outbox o join appointments a on a.id = o.subject_id
                 where o.purpose = 'chore.no_show' and o.done_at is null
                   and o.due_at = lower(a.during) + interval '30 min'";
    desk.put(&format!("/appointments/{missed}"), "*", &clinic.visit(HALF_PAST)).await.expect(200);
    assert_eq!((clinic.count(chores).await, clinic.count(moved).await), (1, 1));

    // Due by somebody's mistake: the visit is still to come.
    clinic.let_it_be_due(&platform, "chore.no_show").await;
    until("it was put off", async || clinic.count(moved).await == 1).await;
    assert_eq!(desk.get(&format!("/appointments/{missed}")).await.body["status"], "booked");
    let_the_visit_pass(&clinic).await;
    clinic.let_it_be_due(&platform, "chore.no_show").await;

    let path = format!("/appointments/{missed}");
    until("it is marked", async || desk.get(&path).await.body["status"] == "no_show").await;
    until("the chore is done", async || clinic.count(chores).await == 0).await;
    assert_eq!(clinic.count("select count(*) from claims").await, 0);
    let past = desk.get(&format!("{path}/history")).await.expect(200);
    let last = past.body["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["what"], &last["role"]), (&json!("no_show"), &json!("platform")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_here_is_not_missed_and_a_clinic_may_change_its_mind() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    set(&clinic, "update scheduling_rules set no_show_after_minutes = 30").await;
    let open = "select count(*) from outbox where purpose = 'chore.no_show' and done_at is null";
    let here = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    step(&desk, &here, "check-in").await.expect(200);
    assert_eq!(clinic.count(open).await, 0, "it is withdrawn");
    let late =
        desk.post("/appointments", &clinic.visit("2099-01-06T04:30:00Z")).await.expect(201).id();
    set(&clinic, "update scheduling_rules set no_show_after_minutes = null").await;
    let_the_visit_pass(&clinic).await;

    clinic.let_it_be_due(&platform, "chore.no_show").await;

    until("the chore is done", async || clinic.count(open).await == 0).await;
    assert_eq!(desk.get(&format!("/appointments/{late}")).await.body["status"], "booked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chore_that_fails_is_tried_again() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    set(&clinic, "update scheduling_rules set no_show_after_minutes = 30").await;
    let missed = desk.post("/appointments", &clinic.visit(TEN)).await.expect(201).id();
    let_the_visit_pass(&clinic).await;
    for statement in [
        "create sequence failures",
        "create function fail_twice() returns trigger language plpgsql security definer as $$
         begin
           if nextval('failures') <= 2 then raise exception 'no' using errcode = 'XX000'; end if;
           return new;
         end $$",
        "create trigger fail_twice before update on appointments for each row execute function fail_twice()",
    ] {
        set(&clinic, statement).await;
    }

    clinic.let_it_be_due(&platform, "chore.no_show").await;

    let path = format!("/appointments/{missed}");
    until("it is marked", async || desk.get(&path).await.body["status"] == "no_show").await;
    assert_eq!(clinic.count("select last_value from failures").await, 3);
    let alarms = "select count(*) from outbox where purpose like 'chore.%' and status = 'failed'";
    assert_eq!(clinic.count(alarms).await, 0);
}
