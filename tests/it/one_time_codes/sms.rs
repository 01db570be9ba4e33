//! SMS cost money: who gets none, and that nobody is locked out by it.

use nadi::metrics::ALARMS;
use serde_json::json;

use super::{LAKSHMI, PRAKASH, all_is_sent, code, letters};
use crate::support::{Caller, TestClinic};

async fn ask_by_sms(caller: &Caller, identifier: &str) {
    let asked = json!({ "identifier": identifier, "channels": ["sms"] });
    caller.post("/auth/otp/request", &asked).await.expect(202);
}

async fn patient(clinic: &TestClinic, phone: &str) {
    sqlx::query("insert into patients (id, full_name, phone) values ($1, 'Somebody New', $2)")
        .bind(nadi::ids::new_uuid())
        .bind(phone)
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
}

async fn set(clinic: &TestClinic, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut clinic.connection().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sms_go_to_mobile_numbers_of_listed_countries_alone() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let (landline, abroad) = ("+914842345678", "+447400123456");
    for phone in [landline, abroad] {
        patient(&clinic, phone).await;
        ask_by_sms(&anybody, phone).await;
    }

    all_is_sent(&clinic).await;

    assert!(letters(&platform, landline).await.is_empty());
    assert!(letters(&platform, abroad).await.is_empty());
    let why = "select count(*) from outbox where status = 'suppressed' and last_error like 'no channel is left%'";
    assert_eq!(clinic.count(why).await, 2);
    // Other ways are open to them.
    super::pass(&clinic, "31 s").await;
    anybody.post("/auth/otp/request", &json!({ "identifier": abroad })).await.expect(202);
    code(&platform, abroad, 1).await;
    super::pass(&clinic, "61 s").await;
    set(&clinic, "update sign_in_settings set sms_countries = '{IN,GB}'").await;
    ask_by_sms(&anybody, abroad).await;
    code(&platform, abroad, 2).await;
    assert_eq!(letters(&platform, abroad).await[0].channel, "sms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_day_is_exact_and_other_ways_go_on() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    set(&clinic, "update sign_in_settings set sms_daily_budget = 3").await;
    let phones: Vec<String> = (0..8).map(|n| format!("+9198471{n}2345")).collect();
    for phone in &phones {
        patient(&clinic, phone).await;
    }

    futures_util::future::join_all(phones.iter().map(|phone| ask_by_sms(&anybody, phone))).await;

    all_is_sent(&clinic).await;
    let mut sent = 0;
    for phone in &phones {
        sent += letters(&platform, phone).await.len();
    }
    assert_eq!(sent, 3);
    assert_eq!(clinic.count("select sent::bigint from otp_sms_days").await, 3);
    assert_eq!(clinic.count("select count(*) from otp_sends where sms_at is not null").await, 3);
    assert_eq!(ALARMS.with_label_values(&["sms_budget_spent"]).get(), 5);
    anybody
        .post("/auth/otp/request", &json!({ "identifier": LAKSHMI, "channels": ["sms", "email"] }))
        .await
        .expect(202);
    code(&platform, "lakshmi@mail.example", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_unlike_the_days_before_raises_an_alarm_once() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    set(
        &clinic,
        "insert into otp_sms_days
           select (now() at time zone 'Asia/Kolkata')::date - n, 20 from generate_series(1, 10) as n
           union all select (now() at time zone 'Asia/Kolkata')::date, 60",
    )
    .await;

    ask_by_sms(&anybody, LAKSHMI).await;
    code(&platform, LAKSHMI, 1).await;
    ask_by_sms(&anybody, PRAKASH).await;
    code(&platform, PRAKASH, 1).await;

    assert_eq!(ALARMS.with_label_values(&["sms_codes_unusual"]).get(), 1);
}

/// Fifty codes went by SMS in the last minutes, and so many of them were used.
async fn fifty_sent(clinic: &TestClinic, used: i32) {
    sqlx::query(
        "with requests as (
           insert into otp_requests (id, purpose, identifier_mac, subject_mac, code_mac, resend_at, expires_at, used_at)
           select gen_random_uuid(), 'register', decode(lpad(to_hex(n), 8, '0'), 'hex'), '', '', now(), now(),
                  case when n <= $1 then now() end
           from generate_series(1, 50) as n returning id, identifier_mac)
         insert into otp_sends (request_id, identifier_mac, known, sms_at)
         select id, identifier_mac, false, now() from requests",
    )
    .bind(used)
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
}

async fn register(caller: &Caller, phone: &str) {
    let new = json!({ "full_name": "Anjali Pillai", "phone": phone });
    caller.post("/auth/register", &new).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_no_sms_while_few_codes_are_used() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    fifty_sent(&clinic, 9).await;
    let barred = ALARMS.with_label_values(&["sms_codes_unused"]);

    register(&anybody, "+919847077777").await;
    code(&platform, "+919847077777", 1).await; // by WhatsApp

    assert_eq!(barred.get(), 1);
    ask_by_sms(&anybody, LAKSHMI).await;
    code(&platform, LAKSHMI, 1).await;
    assert_eq!(barred.get(), 1, "patients go on getting theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn enough_codes_used_is_no_alarm() {
    let (platform, clinic) = TestClinic::new().await;
    fifty_sent(&clinic, 10).await;

    register(&clinic.anybody(), "+919847077777").await;
    code(&platform, "+919847077777", 1).await;

    assert_eq!(ALARMS.with_label_values(&["sms_codes_unused"]).get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_block_of_numbers_get_no_sms_from_the_twenty_first_on() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let barred = ALARMS.with_label_values(&["sms_codes_block"]);
    for n in 0..20 {
        register(&anybody, &format!("+9198470777{n:02}")).await;
    }
    all_is_sent(&clinic).await;
    assert_eq!(barred.get(), 0);

    register(&anybody, "+919847077777").await;
    code(&platform, "+919847077777", 1).await;

    assert_eq!(barred.get(), 1);
}
