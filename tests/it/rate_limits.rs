//! Limits that each instance keeps for itself.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use crate::support::{Caller, Options, TestClinic, TestPlatform};

/// The statuses of so many calls, forty at a time.
async fn many(caller: &Caller, count: usize, path: &str) -> Vec<u16> {
    stream::iter(0..count)
        .map(async |_| caller.get(path).await.status.as_u16())
        .buffer_unordered(40)
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_makes_a_thousand_calls_at_once_and_then_a_hundred_a_second() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let began = Instant::now();

    let mut statuses = Vec::new();
    while !statuses.contains(&429) {
        statuses.extend(many(&desk, 1100, "/auth/me").await);
        assert!(statuses.len() < 20_000, "no end to it");
    }
    let took = began.elapsed();

    let through = statuses.iter().filter(|status| **status == 200).count();
    let most = 1001 + (took.as_secs_f64() * 100.0) as usize;
    assert!((1000..=most).contains(&through), "{through} in {took:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)));
    let refused = loop {
        let answer = desk.get("/auth/me").await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(refused.problem(), "rate-limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), "\"calls\";q=1000;w=10");
    assert_eq!(refused.header("ratelimit"), "\"calls\";r=0;t=1");
    clinic.admin().await.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_has_no_limit_for_the_platform() {
    let platform = TestPlatform::new().await;
    let admin = platform.super_admin().await;

    let statuses = many(&admin, 1500, "/clinics").await;

    assert!(statuses.iter().all(|status| *status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_refreshes_sixty_times_a_minute() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let mut token = json!(desk.refresh_token);
    for _ in 0..60 {
        let next = desk.post("/auth/refresh", &json!({ "refresh_token": token })).await.expect(200);
        token = next.body["refresh_token"].clone();
    }

    let refused = desk.post("/auth/refresh", &json!({ "refresh_token": token })).await.expect(429);

    assert_eq!(refused.header("ratelimit-policy"), "\"refresh\";q=60;w=60");
    let other = clinic.desk().await;
    let body = json!({ "refresh_token": other.refresh_token });
    other.post("/auth/refresh", &body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_asks_five_hundred_times_without_anybodys_token() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let from = async |address: &str, path: &str| {
        let request = anybody.raw(Method::GET, path).header("x-forwarded-for", address);
        anybody.send(request.bearer_auth("forged")).await.status.as_u16()
    };
    let began = Instant::now();

    let mut statuses = Vec::new();
    while !statuses.contains(&429) {
        statuses.push(from("203.0.113.7", "/api/v1/auth/me").await);
        assert!(statuses.len() < 20_000, "no end to it");
    }

    let most = 501 + (began.elapsed().as_secs_f64() * 50.0) as usize;
    assert!((500..=most).contains(&(statuses.len() - 1)), "{}", statuses.len());
    assert_eq!(from("203.0.113.8", "/api/v1/auth/me").await, 401);
    for _ in 0..3 {
        assert_eq!(from("203.0.113.7", "/health").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_nobody_looks_at_lets_nobody_pass() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let nonsense = json!({ "refresh_token": "nonsense" });
    let bad_ticket = "/api/v1/live?ticket=nonsense";
    for (n, method, path) in [
        (1, Method::POST, "/api/v1/auth/refresh"),
        (2, Method::GET, "/respond/nonsense"),
        (3, Method::GET, "/api/v1/respond/nonsense"),
        (4, Method::GET, "/display/nonsense"),
        (5, Method::GET, bad_ticket),
    ] {
        let ask = async |_: usize| {
            let request = anybody.raw(method.clone(), path).header("authorization", "x");
            let request = request.header("x-forwarded-for", format!("203.0.113.{n}"));
            let request = if method == Method::POST { request.json(&nonsense) } else { request };
            anybody.send(request).await.status.as_u16()
        };
        let began = Instant::now();

        let mut statuses = Vec::new();
        while !statuses.contains(&429) {
            let some: Vec<u16> = stream::iter(0..100).map(ask).buffer_unordered(40).collect().await;
            statuses.extend(some);
            assert!(statuses.len() < 20_000, "{path}: no end to it");
        }

        let through = statuses.iter().filter(|status| **status != 429).count();
        let most = 501 + (began.elapsed().as_secs_f64() * 50.0) as usize;
        assert!((500..=most).contains(&through), "{path}: {through}, none counts twice");
    }
}
