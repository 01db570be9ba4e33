//! Visits of the past and to come.

use chrono::{Days, NaiveDate, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use uuid::Uuid;

use super::{DOCTOR, faults, import, numbers, owned};
use crate::support::{TestClinic, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_book_of_past_and_coming_visits_is_taken_in_and_nobody_is_told() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    sqlx::query("update scheduling_rules set no_show_after_minutes = 30")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    let numbers = numbers(&clinic).await;
    let file = format!(
        "\u{feff}Patient,Doctor,Date,Time,Status,Reason,Duration minutes\r\n\
         {0},{DOCTOR},2099-01-05,10:00,,\"pain, sharp\",\r\n\
         +919847054321,{1},2099-01-05,10:30,confirmed,,20\r\n\
         {2},Doctor@SHANTI.example,2020-03-01,03:00,,,\r\n\
         {0},{DOCTOR},2020-03-01,03:00,no_show,,\r\n\
         {0},{DOCTOR},2020-03-01,03:10,completed,,\r\n,,,,,,\r\n",
        numbers[0], clinic.doctor, clinic.patients[1]
    );

    let tried = import(&admin, "appointments?dry_run=true", &file).await.expect(200);
    assert_eq!((&tried.body["dry_run"], faults(&tried)), (&json!(true), vec![]));
    assert_eq!((&tried.body["booked"], &tried.body["recorded"]), (&json!(2), &json!(3)));
    assert_eq!(clinic.count("select count(*) from appointments").await, 0, "nothing is changed");
    assert_eq!(clinic.count("select count(*) from audit_log where entity = 'import'").await, 0);
    let done = import(&admin, "appointments", &file).await.expect(200);

    assert_eq!(done.body["rows"], 5);
    assert_eq!((&done.body["booked"], &done.body["recorded"]), (&json!(2), &json!(3)));
    let rows: Vec<(String, i32, bool, i64)> = sqlx::query_as(
        "select a.status, (extract(epoch from upper(a.during) - lower(a.during)) / 60)::integer, a.overbook_reason is not null,
                (select count(*) from claims c where c.appointment_id = a.id)
         from appointments a order by lower(a.during), a.status",
    )
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap();
    let row =
        |status: &str, minutes, doubled, claims| (status.to_owned(), minutes, doubled, claims);
    assert_eq!(
        rows,
        [
            row("completed", 30, false, 2),
            row("no_show", 30, true, 0),
            row("completed", 30, true, 2),
            row("booked", 30, false, 2),
            row("confirmed", 20, false, 2),
        ]
    );
    assert_eq!(
        clinic.count("select count(*) from outbox where purpose = 'appointment.booked'").await,
        0
    );
    assert_eq!(
        clinic.count("select count(*) from audit_log where action = 'appointments.imported'").await,
        1
    );
    assert_eq!(
        clinic
            .count(
                "select count(*) from outbox o join appointments a on a.id = o.subject_id
             where o.done_at is null and lower(a.during) < now()"
            )
            .await,
        0,
        "what has been has nothing ahead of it"
    );
    // Once more: every time is taken, and nothing comes twice.
    let again = import(&admin, "appointments", &file).await.expect(422);
    assert_eq!(again.faults()[0], ("/2/time".into(), "slot_taken".into()));
    assert_eq!(clinic.count("select count(*) from appointments").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_that_comes_twice_is_the_earlier_and_patients_are_told_where_asked_for() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let mut connection = clinic.connection().await;
    for sql in [
        "update locations set time_zone = 'Europe/Berlin'",
        "update availability set starts_at = '00:00', ends_at = '24:00'",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    // The last Sunday of an October to come.
    let october = NaiveDate::from_ymd_opt(2098, 10, 26).unwrap();
    let file =
        format!("patient,doctor,date,time\n{},{DOCTOR},{october},02:30\n", clinic.patients[0]);
    let keyed = || {
        let request = admin.request(Method::POST, "/imports/appointments?notify=true");
        let request = request.header("idempotency-key", "once").header("content-type", "text/csv");
        request.body(file.clone())
    };

    let done = admin.send(keyed()).await.expect(200);
    assert_eq!(admin.send(keyed()).await.expect(200).body, done.body, "the first answer again");
    let other =
        admin.request(Method::POST, "/imports/appointments").header("idempotency-key", "once");
    let other = other.header("content-type", "text/csv").body(file.clone());
    assert_eq!(admin.send(other).await.expect(422).problem(), "idempotency-key-reused");

    let visits = admin.get(&format!("/appointments?date={october}")).await.expect(200);
    assert_eq!(visits.body["items"][0]["starts_at"], "2098-10-26T00:30:00Z");
    assert_eq!(
        clinic.count("select count(*) from outbox where purpose = 'appointment.booked'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_of_the_past_that_is_taken_in_twice_stands_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let file = format!(
        "patient,doctor,date,time,status\n\
         {0},{DOCTOR},2020-03-01,10:00,\n\
         {1},{DOCTOR},2020-03-01,10:00,\n\
         {0},{DOCTOR},2020-03-02,10:00,no_show\n",
        clinic.patients[0], clinic.patients[1]
    );
    // Once it was held for somebody, and nobody has looked there since.
    sqlx::query(
        "insert into claims (hold_id, hold_until, subject_id, during)
         values (gen_random_uuid(), '2020-02-28T00:00:00Z', $1, '[2020-03-02T04:30:00Z, 2020-03-02T05:00:00Z)')",
    )
    .bind(clinic.doctor)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    import(&admin, "appointments", &file).await.expect(200);

    let again = import(&admin, "appointments", &file).await.expect(422);

    let taken = |row: &str| (format!("/{row}/time"), "slot_taken".to_owned());
    assert_eq!(again.faults(), ["2", "3", "4"].map(taken));
    assert_eq!(clinic.count("select count(*) from appointments").await, 3);
    let row = format!("{},{DOCTOR},2020-04-01,10:00\n", clinic.patients[0]);
    let twice = format!("patient,doctor,date,time\n{row}{row}");
    let twice = import(&admin, "appointments?dry_run=true", &twice).await.expect(200);
    assert_eq!(faults(&twice), owned([(3, "time", "slot_taken")]));
    assert!(twice.text.contains("by row 2"), "{}", twice.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_has_ended_when_it_did_and_stays_so() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let file = format!(
        "patient,doctor,date,time,status\n\
         {0},{DOCTOR},2020-03-01,10:00,\n\
         {0},{DOCTOR},2020-03-02,10:00,cancelled\n\
         {0},{DOCTOR},2020-03-03,10:00,no_show\n",
        clinic.patients[0]
    );
    import(&admin, "appointments", &file).await.expect(200);
    let visits: Vec<(Uuid, String)> =
        sqlx::query_as("select id, status from appointments order by during")
            .fetch_all(&mut clinic.connection().await)
            .await
            .unwrap();
    assert_eq!(visits.len(), 3);

    for (id, status) in visits {
        let visit = admin.get(&format!("/appointments/{id}")).await.expect(200).body;
        let past = admin.get(&format!("/appointments/{id}/history")).await.expect(200);
        let last = past.body["items"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["what"], &last["at"]), (&json!(status), &visit["ends_at"]));
        assert_eq!(
            (&last["before"], &last["after"]),
            (&json!({ "status": "booked" }), &json!({ "status": status }))
        );
        let wrong = json!({ "reason": "a wrong click" });
        let refused = admin.post(&format!("/appointments/{id}/reopen"), &wrong).await.expect(409);
        assert_eq!(refused.problem(), "not-of-today");
        let logged = "select count(*) from audit_log
                      where entity_id = $1 and action = $2 and details ->> 'status' = $3";
        let logged: i64 = sqlx::query_scalar(logged)
            .bind(id)
            .bind(format!("appointment.{status}"))
            .bind(&status)
            .fetch_one(&mut clinic.connection().await)
            .await
            .unwrap();
        assert_eq!(logged, 1, "{status}");
    }
    for (kind, count) in [("booked", 0), ("completed", 1), ("cancelled", 1), ("no_show", 1)] {
        let heard = "select count(*) from live_events where kind = 'appointment.' || $1";
        let heard: i64 = sqlx::query_scalar(heard)
            .bind(kind)
            .fetch_one(&mut clinic.connection().await)
            .await
            .unwrap();
        assert_eq!(heard, count, "{kind}");
    }
}

/// Locks lie in one table of all clinics on a server: a file holds those of its few doctors, and none of its many patients.

#[tokio::test(flavor = "multi_thread")]
async fn a_file_does_not_lock_its_patients_and_loses_to_who_was_faster() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let mut rival = clinic.connection().await;
    for patient in clinic.patients {
        sqlx::query("select pg_advisory_lock($1)")
            .bind(patient.as_u64_pair().1 as i64)
            .execute(&mut rival)
            .await
            .unwrap();
    }
    let row =
        |patient: Uuid, time: &str| format!("{patient},{DOCTOR},2099-01-05,{time},confirmed\n");
    let file = |rows: &[String]| format!("patient,doctor,date,time,status\n{}", rows.concat());
    let [one, other] = clinic.patients;
    let both = file(&[row(one, "10:00"), row(other, "10:30")]);
    import(&admin, "appointments", &both).await.expect(200);

    // Two files that have each other's patients may wait for each other: PostgreSQL ends one, and it is tried again.
    for sql in [
        "create sequence race",
        "grant usage on sequence race to nadi_clinic",
        "create function race() returns trigger language plpgsql as $$ begin
           if nextval('race') = 1 then raise exception 'a deadlock' using errcode = '40P01'; end if;
           return new;
         end $$",
        "create trigger race before insert on claims for each row execute function race()",
    ] {
        sqlx::query(sql).execute(&mut rival).await.unwrap();
    }
    import(&admin, "appointments", &file(&[row(one, "14:00")])).await.expect(200);

    let waits = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    let mut tx = rival.begin().await.unwrap();
    sqlx::query(
        "insert into claims (hold_id, hold_until, subject_id, during)
         values (gen_random_uuid(), 'infinity', $1, '[2099-01-05T05:30:00Z, 2099-01-05T06:00:00Z)')",
    )
    .bind(one)
    .execute(&mut *tx)
    .await
    .unwrap();
    let importing = {
        let (admin, file) = (admin.clone(), file(&[row(one, "11:00"), row(other, "12:00")]));
        tokio::spawn(async move { import(&admin, "appointments", &file).await })
    };
    until("the file waits", async || clinic.count(waits).await > 0).await;
    tx.commit().await.unwrap();
    let refused = importing.await.unwrap().expect(422);
    assert_eq!(refused.faults(), [("/2/time".to_owned(), "slot_taken".to_owned())]);

    let mut tx = rival.begin().await.unwrap();
    sqlx::query("update patients set deleted_at = now() where id in (select id from patients where id = $1 for update)")
        .bind(other)
        .execute(&mut *tx)
        .await
        .unwrap();
    let importing = {
        let (admin, file) = (admin.clone(), file(&[row(other, "15:00")]));
        tokio::spawn(async move { import(&admin, "appointments", &file).await })
    };
    until("the file waits", async || clinic.count(waits).await > 0).await;
    tx.commit().await.unwrap();
    let refused = importing.await.unwrap().expect(422);
    assert_eq!(refused.faults(), [("/2/patient".to_owned(), "not_found".to_owned())]);
    assert_eq!(clinic.count("select count(*) from appointments").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_has_no_more_lines_from_a_file_than_by_hand() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let first = NaiveDate::from_ymd_opt(2090, 1, 1).unwrap();
    let mut file = "doctor,weekday,starts_at,ends_at,valid_from,valid_to\n".to_owned();
    for nth in 0..201 {
        let (from, to) = (first + Days::new(7 * nth), first + Days::new(7 * nth + 7));
        file.push_str(&format!("{DOCTOR},1,09:00,12:00,{from},{to}\n"));
    }

    let refused = import(&admin, "availability", &file).await.expect(422);

    let pointers: Vec<_> = refused.faults();
    assert_eq!(pointers, [("/202/starts_at".to_owned(), "too_long".to_owned())]);
    let path = format!("/doctors/{}/availability", clinic.doctor);
    let line = json!({ "location_id": clinic.location, "weekday": 1, "starts_at": "09:00", "ends_at": "12:00" });
    let by_hand: Vec<Value> = (0..201)
        .map(|nth| {
            let mut line = line.clone();
            line["valid_from"] = json!(first + Days::new(7 * nth));
            line["valid_to"] = json!(first + Days::new(7 * nth + 7));
            line
        })
        .collect();
    let refused = admin.put(&path, "*", &json!({ "items": by_hand })).await.expect(422);
    assert_eq!(refused.faults(), [("/items".to_owned(), "too_long".to_owned())]);
    admin.put(&path, "*", &json!({ "items": by_hand[..200] })).await.expect(200);
}

/// As large as a file may be: it holds its doctors' locks meanwhile, so it must not take long.

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_visits_are_taken_in_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let mut connection = clinic.connection().await;
    sqlx::query("update doctors set slot_minutes = 15").execute(&mut connection).await.unwrap();
    let patients: Vec<String> = sqlx::query_scalar(
        "insert into patients (id, full_name) select gen_random_uuid(), 'Patient ' || n from generate_series(1, 500) as n
         returning number",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let today = Utc::now().date_naive();
    let mut file = "patient,doctor,date,time\n".to_owned();
    for (nth, patient) in patients.iter().enumerate() {
        let date = today + Days::new(1 + nth as u64 / 32);
        let minutes = 9 * 60 + nth % 32 * 15;
        file.push_str(&format!(
            "{patient},{DOCTOR},{date},{:02}:{:02}\n",
            minutes / 60,
            minutes % 60
        ));
    }

    let began = std::time::Instant::now();
    let done = import(&admin, "appointments", &file).await.expect(200);
    println!("500 visits in {:?}", began.elapsed());

    assert_eq!(done.body["booked"], 500);
    assert_eq!(clinic.count("select count(*) from claims").await, 1_000);
}
