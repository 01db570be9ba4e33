//! Whom a freed time is offered to.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_freed_time_is_offered_to_the_first_whom_it_fits_and_kept_for_him() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    let meera = clinic.another_patient().await;
    let tuesdays = waits(&clinic, &desk, clinic.patients[0], json!({ "weekdays": [2] })).await;
    let mornings = json!({ "weekdays": [1], "from_time": "09:00", "to_time": "12:00" });
    let first = waits(&clinic, &desk, meera, mornings).await;
    let later = waits(&clinic, &desk, clinic.patients[0], json!({})).await;

    desk.delete(&visit).await.expect(200);

    until("it is offered", async || status(&desk, &first).await == "offered").await;
    until_looked(&clinic).await;
    for path in [&tuesdays, &later] {
        assert_eq!(status(&desk, path).await, "waiting");
    }
    let offer = entry(&desk, &first).await["offer"].clone();
    assert_eq!((&offer["starts_at"], &offer["ends_at"]), (&json!(TEN), &json!(HALF_PAST)));
    assert_eq!(offer["doctor_id"], json!(clinic.doctor));
    let kept: i64 = clinic
        .count("select round(extract(epoch from until - offered_at) / 60)::bigint from waitlist_offers")
        .await;
    assert_eq!(kept, 60, "the clinic's hold_minutes");
    assert!(!slots(&clinic, &desk).await.contains(&TEN.to_owned()), "it is kept");
    let other = desk.post("/appointments", &clinic.visit(TEN)).await.expect(409);
    assert_eq!(other.problem(), "slot-taken");

    let sent = "select count(*) from outbox where purpose = 'waitlist.offered' and status = 'sent'";
    until("she is told", async || clinic.count(sent).await == 1).await;
    let items = platform.inbox.items().await.unwrap();
    let told = items.iter().find(|item| item.subject.starts_with("A time has come free")).unwrap();
    assert!(told.body.contains("Dear Meera") && told.body.contains("10:00"), "{}", told.body);

    let booked = accept(&desk, &first).await.expect(200);
    assert_eq!(
        (&booked.body["starts_at"], &booked.body["patient_id"]),
        (&json!(TEN), &json!(meera))
    );
    assert_eq!(
        accept(&desk, &first).await.expect(200).body["id"],
        booked.body["id"],
        "the same again"
    );
    let shown = "select count(*) from audit_log where action = 'appointment.read'";
    until("who was shown it again is on record", async || clinic.count(shown).await == 1).await;
    let entry = entry(&desk, &first).await;
    assert_eq!((&entry["status"], &entry["offer"]), (&json!("booked"), &Value::Null));
    assert_eq!(entry["appointment_id"], booked.body["id"]);
    assert_eq!(clinic.count("select count(*) from claims where hold_id is not null").await, 0);
    assert_eq!(clinic.count("select count(*) from claims").await, 2);
    let ahead =
        "select count(*) from outbox where purpose = 'chore.offer_lapsed' and done_at is null";
    assert_eq!(clinic.count(ahead).await, 0, "it does not lapse any more");
    let late = desk.delete(&first).await.expect(409);
    assert_eq!(late.problem(), "illegal-transition");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_pass_goes_to_the_next_and_comes_back_to_nobody() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    let meera = clinic.another_patient().await;
    let first = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    let second = waits(&clinic, &desk, meera, json!({})).await;
    let third = waits(&clinic, &desk, clinic.patients[1], json!({})).await;
    desk.delete(&visit).await.expect(200);
    until("the first is asked", async || status(&desk, &first).await == "offered").await;

    let declined = decline(&desk, &first).await.expect(200);
    assert_eq!(declined.body["status"], "waiting", "he keeps his place");
    assert_eq!(decline(&desk, &first).await.expect(409).problem(), "no-offer");
    until("the second is asked", async || status(&desk, &second).await == "offered").await;
    let_offers_lapse(&platform, &clinic).await;
    until("the third is asked", async || status(&desk, &third).await == "offered").await;
    assert_eq!(accept(&desk, &second).await.expect(409).problem(), "no-offer");
    desk.delete(&third).await.expect(200);

    until_looked(&clinic).await;
    for path in [&first, &second] {
        assert_eq!(status(&desk, path).await, "waiting", "nobody is asked twice");
    }
    assert_eq!(clinic.count("select count(*) from claims").await, 0);
    assert!(slots(&clinic, &desk).await.contains(&TEN.to_owned()), "everybody's again");
    let ended: Vec<String> =
        sqlx::query_scalar("select status from waitlist_offers order by offered_at")
            .fetch_all(&mut clinic.connection().await)
            .await
            .unwrap();
    assert_eq!(ended, ["declined", "lapsed", "withdrawn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_giving_a_time_back_offers_it() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    for (n, way) in ["cancel", "no-show", "move", "series"].into_iter().enumerate() {
        let at = format!("2099-02-0{}T04:30:00Z", n + 1);
        let day = format!("2099-02-0{}", n + 1);
        let visit = taken(&clinic, &desk, &at).await;
        let how = json!({ "first_day": day, "last_day": day });
        let path = waits(&clinic, &desk, clinic.patients[0], how).await;
        match way {
            "cancel" => drop(desk.delete(&visit).await.expect(200)),
            "no-show" => drop(
                desk.send(desk.request(reqwest::Method::POST, &format!("{visit}/no-show")))
                    .await
                    .expect(200),
            ),
            "move" => {
                let away = clinic.visit_of(clinic.patients[1], "2099-03-01T04:30:00Z");
                desk.put(&visit, "*", &away).await.expect(200);
            }
            _ => {
                let twice = json!({
                    "patient_id": clinic.patients[1], "doctor_id": clinic.doctor, "kind": "in_person",
                    "starts_at": "2099-02-04T05:00:00Z", "every_days": 7, "count": 2,
                });
                let series = desk.post("/appointments/series", &twice).await.expect(201).id();
                desk.delete(&format!("/appointments/series/{series}")).await.expect(200);
            }
        }
        until(way, async || status(&desk, &path).await == "offered").await;
        let expected = if way == "series" { at.replace("04:30", "05:00") } else { at };
        assert_eq!(entry(&desk, &path).await["offer"]["starts_at"], json!(expected), "{way}");
        desk.delete(&path).await.expect(200);
        until_looked(&clinic).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_specialty_is_any_doctor_of_it_and_what_is_left_goes_to_the_next() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    sqlx::query("update doctors set specialties = '{Kayachikitsa}'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let mut long = clinic.visit_of(clinic.patients[1], TEN);
    long["duration_minutes"] = json!(60);
    let visit = desk.post("/appointments", &long).await.expect(201).id();
    let by_specialty = |more: Value| {
        let mut how = json!({ "doctor_id": null, "specialty": "kayachikitsa" });
        how.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        how
    };
    let meera = clinic.another_patient().await;
    let too_long = json!({ "duration_minutes": 120, "from_time": "09:30", "to_time": "11:00" });
    let nowhere = waits(&clinic, &desk, clinic.patients[0], by_specialty(too_long)).await;
    let first = waits(&clinic, &desk, clinic.patients[0], by_specialty(json!({}))).await;
    let second = waits(&clinic, &desk, meera, json!({})).await;

    desk.delete(&format!("/appointments/{visit}")).await.expect(200);

    until("both are asked", async || {
        status(&desk, &first).await == "offered" && status(&desk, &second).await == "offered"
    })
    .await;
    until_looked(&clinic).await;
    let starts = [entry(&desk, &first).await, entry(&desk, &second).await]
        .map(|entry| entry["offer"]["starts_at"].clone());
    assert_eq!(starts, [json!(TEN), json!(HALF_PAST)]);
    assert_eq!(status(&desk, &nowhere).await, "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_offered_what_he_could_not_book() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    // He is with somebody else at ten.
    let busy = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    let other = another_doctor(&clinic).await;
    let away = json!({
        "patient_id": clinic.patients[0], "doctor_id": other, "kind": "in_person", "starts_at": TEN,
    });
    let beside = desk.post("/appointments", &away).await.expect(201).id();

    desk.delete(&visit).await.expect(200);
    until_looked(&clinic).await;
    assert_eq!(status(&desk, &busy).await, "waiting");
    desk.delete(&format!("/appointments/{beside}")).await.expect(200);
    let again = taken(&clinic, &desk, TEN).await;
    desk.delete(&again).await.expect(200);
    until("now he is", async || status(&desk, &busy).await == "offered").await;
    desk.delete(&busy).await.expect(200);
    until_looked(&clinic).await;

    // Patients may book no such time.
    sqlx::query("update scheduling_rules set horizon_days = 30")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let far = taken(&clinic, &desk, HALF_PAST).await;
    let patient = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    desk.delete(&far).await.expect(200);
    until_looked(&clinic).await;
    assert_eq!(status(&desk, &patient).await, "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_out_is_passed_on_whatever_else_happened_to_its_doctor() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let visit = taken(&clinic, &desk, TEN).await;
    let first = waits(&clinic, &desk, clinic.patients[0], json!({ "to_time": "11:00" })).await;
    let meera = clinic.another_patient().await;
    let second = waits(&clinic, &desk, meera, json!({ "to_time": "11:00" })).await;
    desk.delete(&visit).await.expect(200);
    until("the first is asked", async || status(&desk, &first).await == "offered").await;
    until_looked(&clinic).await;
    run(&clinic, "update claims set hold_until = now() - interval '1 s' where hold_id is not null")
        .await;

    // Whoever books sweeps away what has run out of this doctor's times.
    taken(&clinic, &desk, "2099-01-05T03:30:00Z").await;
    assert_eq!(clinic.count("select count(*) from claims where hold_id is not null").await, 0);
    let_offers_lapse(&platform, &clinic).await;

    until("the second is asked", async || status(&desk, &second).await == "offered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_freed_while_he_considered_is_his_when_he_says_no() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let [ten, half_past] =
        [taken(&clinic, &desk, TEN).await, taken(&clinic, &desk, HALF_PAST).await];
    let path = waits(&clinic, &desk, clinic.patients[0], json!({})).await;
    desk.delete(&ten).await.expect(200);
    until("he considers", async || status(&desk, &path).await == "offered").await;
    desk.delete(&half_past).await.expect(200);
    until_looked(&clinic).await;
    assert_eq!(clinic.count("select count(*) from freed_times").await, 1, "it waits for him");

    decline(&desk, &path).await.expect(200);

    until("the other one", async || entry(&desk, &path).await["offer"]["starts_at"] == HALF_PAST)
        .await;
    accept(&desk, &path).await.expect(200);
    until_looked(&clinic).await;
    assert_eq!(clinic.count("select count(*) from freed_times").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_is_not_kept_anything() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    run(&clinic, "insert into patients (id, full_name) values ('00000000-0000-7000-8000-000000000001', 'Nobody Knows')").await;
    run(&clinic, "insert into patients (id, full_name, phone) values ('00000000-0000-7000-8000-000000000002', 'No Thanks', '+919847011111')").await;
    run(&clinic, "insert into consents (id, patient_id, kind, granted, source)
                  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000002', 'service', false, 'desk')").await;
    let visit = taken(&clinic, &desk, TEN).await;
    for who in ["00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"] {
        waits(&clinic, &desk, who.parse().unwrap(), json!({})).await;
    }
    let last = waits(&clinic, &desk, clinic.patients[0], json!({})).await;

    desk.delete(&visit).await.expect(200);

    until("who can is told", async || status(&desk, &last).await == "offered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_clinics_quiet_hours_a_time_is_kept_until_after_them() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let zone = chrono::FixedOffset::east_opt(19_800).unwrap();
    let civil = platform.clock.now().with_timezone(&zone);
    let hour = |hours: i64| (civil + chrono::TimeDelta::hours(hours)).format("%H:%M").to_string();
    let night = json!({ "policies": { "appointment": {
        "channels": ["email"], "accept_seconds": 30, "quiet_from": hour(-2), "quiet_to": hour(3),
    } } });
    clinic.admin().await.put("/settings/messaging", "*", &night).await.expect(200);
    let visit = taken(&clinic, &desk, TEN).await;
    let path = waits(&clinic, &desk, clinic.patients[0], json!({})).await;

    desk.delete(&visit).await.expect(200);

    until("it is kept", async || status(&desk, &path).await == "offered").await;
    let minutes =
        "select (extract(epoch from until - offered_at) / 60)::bigint from waitlist_offers";
    let kept = clinic.count(minutes).await;
    assert!((4 * 60..=5 * 60).contains(&kept), "three hours of night, then an hour: {kept}");
}

/// They are looked at side by side, and who is offered one of them considers it: the others are kept on record for him.
#[tokio::test(flavor = "multi_thread")]
async fn times_that_are_freed_together_are_offered_one_after_the_other() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut series = clinic.visit_of(clinic.patients[1], TEN);
    (series["every_days"], series["count"]) = (json!(1), json!(8));
    let series = desk.post("/appointments/series", &series).await.expect(201).id();
    let waiting = waits(&clinic, &desk, clinic.patients[0], json!({})).await;

    desk.delete(&format!("/appointments/series/{series}")).await.expect(200);

    let mut offered = std::collections::BTreeSet::new();
    for _ in 0..8 {
        until("he is asked", async || status(&desk, &waiting).await == "offered").await;
        until_looked(&clinic).await;
        let starts_at = entry(&desk, &waiting).await["offer"]["starts_at"].clone();
        assert!(offered.insert(starts_at.to_string()), "{starts_at} once more");
        decline(&desk, &waiting).await.expect(200);
    }
    until_looked(&clinic).await;
    assert_eq!(status(&desk, &waiting).await, "waiting");
    assert_eq!(clinic.count("select count(*) from freed_times").await, 0);
}
