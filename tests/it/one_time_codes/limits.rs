//! What stands against those who ask for codes that are not theirs. Counted in the database: every instance counts alike.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{LAKSHMI, NOBODY, PRAKASH, all_is_sent, ask, code, guess, pass};
use crate::support::{Answer, Caller, Options, TestClinic, TestPlatform};

/// A platform that takes a caller's address from the proxy's header.
async fn behind_a_proxy() -> (TestPlatform, TestClinic) {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    (platform, clinic)
}

async fn ask_from(caller: &Caller, address: &str, identifier: &str) -> Answer {
    let request = caller
        .request(Method::POST, "/auth/otp/request")
        .header("x-forwarded-for", address)
        .json(&json!({ "identifier": identifier }));
    caller.send(request).await
}

fn stranger(n: usize) -> String {
    // Of many blocks of numbers.
    format!("+9198{:03}{:05}", n % 1000, 10_000 + n)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_in_an_hour_and_ten_in_a_day_known_or_not() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let both = async || {
        let (known, unknown) = (ask(&anybody, LAKSHMI).await, ask(&anybody, NOBODY).await);
        assert_eq!(known.status, unknown.status);
        assert_eq!(known.header("ratelimit-policy"), unknown.header("ratelimit-policy"));
        known
    };
    for _ in 0..5 {
        both().await.expect(202);
        pass(&clinic, "121 s").await;
    }
    let hour = both().await.expect(429);
    assert_eq!(hour.header("ratelimit-policy"), "\"otp-hour\";q=5;w=3600");
    let wait: u64 = hour.header("retry-after").parse().unwrap();
    assert!((2990..=2995).contains(&wait), "until the first leaves the hour: {wait}");
    pass(&clinic, "3600 s").await;
    for _ in 0..5 {
        both().await.expect(202);
        pass(&clinic, "121 s").await;
    }
    pass(&clinic, "3600 s").await;
    let day = both().await.expect(429);
    assert_eq!(day.header("ratelimit-policy"), "\"otp-day\";q=10;w=86400");
    pass(&clinic, "23 h").await;
    both().await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_is_sent_however_many_ask_for_it_at_once_and_where() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let here = clinic.anybody();
    let there = here.at(&second.address, &clinic.host);

    let asks = (0..20).map(|n| ask(if n % 2 == 0 { &here } else { &there }, LAKSHMI));
    let answers = join_all(asks).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 19);
    assert_eq!(clinic.count("select count(*) from otp_sends").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_ask_for_ten_unknown_numbers_over_all_instances() {
    let (platform, clinic) = behind_a_proxy().await;
    let second = platform.another_instance().await;
    let here = clinic.anybody();
    let there = here.at(&second.address, &clinic.host);
    let numbers: Vec<String> = (0..30).map(stranger).collect();

    let asks = numbers.iter().enumerate().map(|(n, number)| {
        ask_from(if n % 2 == 0 { &here } else { &there }, "203.0.113.7", number)
    });
    let answers = join_all(asks).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 10);
    all_is_sent(&clinic).await;
    let unknown = ask_from(&here, "203.0.113.7", NOBODY).await.expect(429);
    let known = ask_from(&here, "203.0.113.7", LAKSHMI).await.expect(429);
    assert_eq!(known.header("ratelimit-policy"), "\"otp-unknown\";q=10;w=3600");
    assert_eq!(known.header("ratelimit-policy"), unknown.header("ratelimit-policy"));
    ask_from(&here, "203.0.113.8", LAKSHMI).await.expect(202);
    // A number that is among the ten may be asked for again.
    pass(&clinic, "31 s").await;
    let among = answers.iter().position(|answer| answer.status == 202).unwrap();
    ask_from(&here, "203.0.113.7", &numbers[among]).await.expect(202);
    pass(&clinic, "61 min").await;
    ask_from(&here, "203.0.113.7", NOBODY).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_numbers_do_not_use_an_address_up() {
    let (_platform, clinic) = behind_a_proxy().await;
    let anybody = clinic.anybody();
    let mut inside = clinic.connection().await;
    for n in 0..20 {
        sqlx::query("insert into patients (id, full_name, phone) values ($1, 'One of many', $2)")
            .bind(nadi::ids::new_uuid())
            .bind(stranger(n))
            .execute(&mut inside)
            .await
            .unwrap();
    }

    for n in 0..20 {
        ask_from(&anybody, "2001:db8:7::1", &stranger(n)).await.expect(202);
        all_is_sent(&clinic).await;
    }

    for n in 100..110 {
        ask_from(&anybody, "2001:db8:7::2", &stranger(n)).await.expect(202);
    }
    // A network of version 6 is one address.
    ask_from(&anybody, "2001:db8:7:0:ffff::3", NOBODY).await.expect(429);
    ask_from(&anybody, "2001:db8:7:1::1", NOBODY).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_ask_two_hundred_times_and_the_clinics_own_as_often_as_it_likes() {
    let (_platform, clinic) = behind_a_proxy().await;
    let anybody = clinic.anybody();
    ask_from(&anybody, "203.0.113.7", PRAKASH).await.expect(202);
    let mut inside = clinic.connection().await;
    sqlx::query(
        "insert into otp_sends (request_id, identifier_mac, source, known)
         select request_id, decode(lpad(to_hex(n), 8, '0'), 'hex'), source, true from otp_sends, generate_series(1, 199) as n",
    )
    .execute(&mut inside)
    .await
    .unwrap();

    let refused = ask_from(&anybody, "203.0.113.7", LAKSHMI).await.expect(429);

    assert_eq!(refused.header("ratelimit-policy"), "\"otp-address\";q=200;w=3600");
    sqlx::query("update sign_in_settings set trusted_networks = '{203.0.113.0/24}'")
        .execute(&mut inside)
        .await
        .unwrap();
    ask_from(&anybody, "203.0.113.7", LAKSHMI).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_lock_out_a_device_that_signed_in_before() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 1).await;
    let entered = guess(&anybody, &asked.body["request_id"], &right).await.expect(200);
    let cookie = entered.header("set-cookie").to_owned();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/api/v1/auth"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    for _ in 0..4 {
        ask(&anybody, LAKSHMI).await.expect(202);
        pass(&clinic, "121 s").await;
    }
    ask(&anybody, LAKSHMI).await.expect(429);
    let with = async |cookie: &str, identifier: &str| -> Answer {
        let request = anybody
            .request(Method::POST, "/auth/otp/request")
            .header("cookie", format!("theme=dark; {}", cookie.split(';').next().unwrap()))
            .json(&json!({ "identifier": identifier }));
        anybody.send(request).await
    };

    let own = with(&cookie, LAKSHMI).await.expect(202);

    let right = code(&platform, LAKSHMI, 6).await;
    guess(&anybody, &own.body["request_id"], &right).await.expect(200);
    with("nadi_device=AAAA", LAKSHMI).await.expect(429);
    // It is another's phone's device to nobody else.
    with(&cookie, PRAKASH).await.expect(202);
    ask(&anybody, PRAKASH).await.expect(429);
    let _: &Value = &entered.body;
}
