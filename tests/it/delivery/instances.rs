//! Three instances, killed and started again at random, over many clinics: nothing is lost, nothing comes too late.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::support::Process;

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_are_killed_lose_no_message() {
    kill_on(3, 40, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "5,000 messages at 50 clinics, and a minute of both cores"]
async fn instances_that_are_killed_lose_no_message_in_full_size() {
    kill_on(50, 100, 60).await;
}

async fn kill_on(clinics: usize, messages: i64, kills: usize) {
    let (meta, sms) = (whatsapp_server().await, sms_server().await);
    let settings = vec![meta.setting(), ("NADI_SMS_BASE_URL", sms.url())];
    let options = Options { settings, no_server: true, ..Options::default() };
    let platform = TestPlatform::with(options).await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::serve(&platform.settings()).await);
    }
    let mut all = Vec::new();
    for n in 0..clinics {
        let mut clinic = platform.clinic(&format!("clinic-{n}")).await;
        clinic.address = processes[0].address.clone();
        let (number, token) = (format!("1000000000{n:05}"), format!("token of clinic {n}"));
        meta.knows_number(&number, &token);
        let mut body = super::settings(&number, &token);
        body["policies"]["appointment"]["deliver_seconds"] = Value::Null;
        clinic.admin().await.put("/settings/messaging", "*", &body).await.expect(200);
        all.push(clinic);
    }
    for (n, clinic) in all.iter().enumerate() {
        put_messages(&platform, clinic, n, messages).await;
    }

    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(200 + rand::random::<u64>() % 400)).await;
        let which = kill % 3;
        processes[which].kill().await;
        processes[which] = Process::serve(&platform.settings()).await;
    }

    for clinic in &all {
        // Time passes for what the dead held.
        sqlx::query("update outbox set leased_until = leased_until - interval '61 s' where leased_until is not null")
            .execute(&mut clinic.connection().await)
            .await
            .unwrap();
        sqlx::query("update outbox_attempts set started_at = started_at - interval '61 s' where outcome is null")
            .execute(&mut clinic.connection().await)
            .await
            .unwrap();
    }
    let mut central = platform.server.superuser(&platform.database).await;
    sqlx::query("update wakeups set due_at = now(), leased_until = leased_until - interval '61 s'")
        .execute(&mut central)
        .await
        .unwrap();
    for clinic in &all {
        until("all is sent", async || {
            clinic.count("select count(*) from outbox where purpose = 'appointment.booked' and done_at is null").await == 0
        })
        .await;
        let unsent =
            "select count(*) from outbox where purpose = 'appointment.booked' and status <> 'sent'";
        assert_eq!(clinic.count(unsent).await, 0);
        let ambiguous = "select count(*) from outbox_attempts where outcome is null";
        let attempts = "select count(*) from outbox_attempts a join outbox o on o.id = a.outbox_id where o.purpose = 'appointment.booked'";
        let (open, made) = (clinic.count(ambiguous).await, clinic.count(attempts).await);
        assert!(made <= messages + open, "{made} attempts, {open} of them ambiguous");
    }
    let mut arrived: HashMap<String, usize> = HashMap::new();
    for taken in meta.sent().into_iter().chain(sms.sent()) {
        *arrived.entry(taken.to.trim_start_matches('+').to_owned()).or_default() += 1;
    }
    assert_eq!(arrived.len() as i64, clinics as i64 * messages, "everybody was told");
    let repeats = arrived.values().filter(|times| **times > 1).count();
    eprintln!("{} messages, {kills} kills, {repeats} told twice", arrived.len());
}

/// A visit and its message for each of so many patients, with the hint that hand-made SQL owes.
async fn put_messages(platform: &TestPlatform, clinic: &TestClinic, n: usize, count: i64) {
    let mut connection = clinic.connection().await;
    sqlx::query(
        "with p as (insert into patients (id, full_name, phone)
           select gen_random_uuid(), 'Patient ' || i, '+9190' || lpad($1::text, 3, '0') || lpad(i::text, 5, '0')
           from generate_series(1, $2) as i returning id, phone),
         v as (insert into appointments (id, patient_id, doctor_id, location_id, kind, during)
           select gen_random_uuid(), p.id, $3, $4, 'in_person',
                  tstzrange('2099-01-01'::timestamptz, '2099-01-01'::timestamptz + interval '15 min')
           from p returning id, patient_id)
         insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
         select gen_random_uuid(), 'appointment.booked', v.id::text, v.id, v.patient_id, now(), now() + interval '1 day'
         from v",
    )
    .bind(n as i32)
    .bind(count as i32)
    .bind(clinic.doctor)
    .bind(clinic.location)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query("update wakeups set hints = hints + 1, due_at = now() where clinic_id = $1")
        .bind(clinic.id)
        .execute(&mut platform.server.superuser(&platform.database).await)
        .await
        .unwrap();
}
