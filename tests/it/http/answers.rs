//! What every answer carries, whatever it says.

use reqwest::Method;

use crate::support::{TestClinic, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_request_id_and_its_guards() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let with_id = async |id: &str| {
        let request = desk.request(Method::GET, "/patients/no-id").header("x-request-id", id);
        desk.send(request).await.expect(404)
    };

    let kept = with_id("trace-0123456789.abc_DEF").await;
    assert_eq!(kept.header("x-request-id"), "trace-0123456789.abc_DEF");
    assert_eq!(kept.body["instance"], "trace-0123456789.abc_DEF");
    for insane in
        ["x", "two words of it", "<script>alert(1)</script>", "a\tb-c-d-e-f", &"x".repeat(300)]
    {
        let made = with_id(insane).await;
        assert_ne!(made.header("x-request-id"), insane);
        assert_eq!(made.header("x-request-id"), made.body["instance"].as_str().unwrap());
        assert!(made.header("x-request-id").len() >= 8);
    }
    for (path, status) in [
        ("/", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/assets/nadi.css", 200),
        ("/nothing", 404),
        ("/api/v1/patients", 200),
        ("/health", 200),
        ("/set-password?token=x", 200),
    ] {
        let answer = desk.send(desk.raw(Method::GET, path)).await.expect(status);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("strict-transport-security"), "", "on https alone");
        assert!(!answer.header("x-request-id").is_empty());
        if !path.starts_with("/assets") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
        let head = desk.send(desk.raw(Method::HEAD, path)).await.expect(status);
        assert_eq!(head.text, "");
        assert_eq!(head.header("content-type"), answer.header("content-type"), "{path}");
        assert_eq!(head.header("etag"), answer.header("etag"));
    }
    let problem = desk.get("/nothing").await.expect(404);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    for member in ["type", "title", "status", "detail", "instance"] {
        assert!(!problem.body[member].is_null(), "{member}");
    }
    assert_eq!(problem.body["type"], "https://nadi.health/problems/not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_https_browsers_are_told_to_stay_there() {
    let settings = vec![("NADI_PUBLIC_SCHEME", "https".to_owned())];
    let options = crate::support::Options { settings, ..Default::default() };
    let platform = TestPlatform::with(options).await;
    let anybody = platform.anybody("localhost");

    let answer = anybody.send(anybody.raw(Method::GET, "/")).await.expect(200);

    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}
