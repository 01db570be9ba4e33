//! Which refusal comes first, and which methods a path has.

use nadi::auth::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::two_mebibytes;
use crate::support::{Caller, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_faults_the_contracts_first_is_told() {
    let (_platform, clinic) = TestClinic::new().await;
    let (nobody, desk, pharmacist) =
        (clinic.anybody(), clinic.desk().await, clinic.caller(Role::Pharmacist).await);
    let own = format!("/patients/{}", clinic.patients[0]);
    let gone = format!("/patients/{}", nadi::ids::new_uuid());
    let ip = desk.at(&clinic.address, "127.0.0.1");
    let unknown = desk.at(&clinic.address, "nobody.localhost");
    let patient = clinic.patient().await;
    let others = format!("/patients/{}", clinic.patients[1]);
    let put = |caller: &Caller, path: &str| caller.request(Method::PUT, path);
    let json = |request: RequestBuilder, body: &str| {
        request.header("content-type", "application/json").body(body.to_owned())
    };
    let big = two_mebibytes();

    for (what, caller, request, status, problem) in [
        ("host, path", &ip, ip.request(Method::GET, "/nothing"), 400, "bad-host"),
        ("clinic, path", &unknown, unknown.request(Method::GET, "/nothing"), 404, "unknown-clinic"),
        ("path, sign-in", &nobody, nobody.request(Method::DELETE, "/nothing"), 404, "not-found"),
        ("method, sign-in", &nobody, nobody.request(Method::POST, &own), 405, "method-not-allowed"),
        (
            "sign-in, size",
            &nobody,
            json(nobody.request(Method::POST, "/patients"), &big),
            401,
            "unauthenticated",
        ),
        (
            "sign-in, query",
            &nobody,
            nobody.request(Method::GET, "/patients?colour=blue"),
            401,
            "unauthenticated",
        ),
        (
            "sign-in, id",
            &nobody,
            nobody.request(Method::GET, "/patients/no-id"),
            401,
            "unauthenticated",
        ),
        (
            "role, size",
            &pharmacist,
            json(pharmacist.request(Method::POST, "/patients"), &big),
            403,
            "forbidden",
        ),
        (
            "role, id",
            &pharmacist,
            pharmacist.request(Method::DELETE, "/patients/no-id"),
            403,
            "forbidden",
        ),
        (
            "role, query",
            &pharmacist,
            pharmacist.request(Method::POST, "/patients?colour=blue"),
            403,
            "forbidden",
        ),
        ("presence, size", &desk, json(put(&desk, &gone), &big), 404, "not-found"),
        ("presence, media type", &desk, put(&desk, &gone).body("x"), 404, "not-found"),
        ("presence, precondition", &desk, json(put(&desk, &gone), "{}"), 404, "not-found"),
        (
            "presence, query",
            &desk,
            desk.request(Method::GET, &format!("{gone}?colour=blue")),
            404,
            "not-found",
        ),
        ("another's, precondition", &patient, json(put(&patient, &others), "{}"), 404, "not-found"),
        (
            "another's, query",
            &patient,
            patient.request(Method::GET, &format!("{others}?colour=blue")),
            404,
            "not-found",
        ),
        (
            "id, query",
            &desk,
            desk.request(Method::GET, "/patients/no-id?colour=blue"),
            404,
            "not-found",
        ),
        (
            "size, media type",
            &desk,
            put(&desk, &own).header("content-type", "text/plain").body(big.clone()),
            413,
            "too-large",
        ),
        (
            "size, query",
            &desk,
            json(desk.request(Method::POST, "/patients?colour=blue"), &big),
            413,
            "too-large",
        ),
        (
            "size, key",
            &desk,
            json(desk.request(Method::POST, "/patients").header("idempotency-key", ""), &big),
            413,
            "too-large",
        ),
        (
            "media type, no precondition",
            &desk,
            put(&desk, &own).header("content-type", "text/plain").body("{}"),
            415,
            "unsupported-media-type",
        ),
        (
            "media type, query",
            &desk,
            desk.request(Method::POST, "/patients?colour=blue").body("{}"),
            415,
            "unsupported-media-type",
        ),
        (
            "no precondition, malformed",
            &desk,
            json(put(&desk, &own), "{"),
            428,
            "precondition-required",
        ),
        (
            "no precondition, faults",
            &desk,
            json(put(&desk, &own), "{}"),
            428,
            "precondition-required",
        ),
        (
            "precondition, malformed",
            &desk,
            json(put(&desk, &own).header("if-match", "\"99\""), "{"),
            412,
            "precondition-failed",
        ),
        (
            "precondition, query",
            &desk,
            json(put(&desk, &format!("{own}?colour=blue")).header("if-match", "\"99\""), "{}"),
            412,
            "precondition-failed",
        ),
        (
            "malformed, query",
            &desk,
            json(desk.request(Method::POST, "/patients?colour=blue"), "{"),
            400,
            "bad-request",
        ),
        (
            "malformed, key",
            &desk,
            json(desk.request(Method::POST, "/patients").header("idempotency-key", ""), "{"),
            400,
            "bad-request",
        ),
        (
            "cursor, limit",
            &desk,
            desk.request(Method::GET, "/patients?limit=0&cursor=garbage"),
            400,
            "bad-request",
        ),
    ] {
        let answer = caller.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (status, problem),
            "{what}: {}",
            answer.text
        );
    }
    let visit = clinic.visit("2099-01-05T04:30:00Z");
    desk.post("/appointments", &visit).await.expect(201);
    let mut bad = visit.clone();
    bad["colour"] = json!("blue");
    desk.post("/appointments", &bad).await.expect(422);
    desk.post("/appointments?colour=blue", &visit).await.expect(422);
    desk.post("/appointments", &visit).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_says_which_methods_it_has() {
    let (platform, clinic) = TestClinic::new().await;
    let nobody = clinic.anybody();
    let landing = platform.anybody("localhost");

    for (caller, method, path, allowed) in [
        (&nobody, Method::PATCH, "/api/v1/patients", "GET, HEAD, POST"),
        (&nobody, Method::POST, "/api/v1/patients/x", "DELETE, GET, HEAD, PUT"),
        (&nobody, Method::GET, "/api/v1/auth/login", "POST"),
        (&nobody, Method::POST, "/docs", "GET, HEAD"),
        (&nobody, Method::DELETE, "/", "GET, HEAD"),
        (&landing, Method::POST, "/", "GET, HEAD"),
        (&landing, Method::POST, "/health", "GET, HEAD"),
        (&landing, Method::PUT, "/health/ready", "GET, HEAD"),
    ] {
        let answer = caller.send(caller.raw(method, path)).await.expect(405);
        assert_eq!(answer.header("allow"), allowed, "{path}");
        assert_eq!(answer.problem(), "method-not-allowed");
    }
    for (caller, path) in [
        (&nobody, "/nothing"),
        (&nobody, "/api/v1"),
        (&nobody, "/api/v1/"),
        (&nobody, "/api/v2/patients"),
        (&nobody, "/api/v1/patients/"),
        (&nobody, "/api/v1/patients/x/y"),
        (&nobody, "/healthy"),
        (&nobody, "/metrics"),
        (&nobody, "/inbox"),
        (&landing, "/api/v1/patients"),
        (&landing, "/docs"),
    ] {
        let answer = caller.send(caller.raw(Method::GET, path)).await.expect(404);
        assert_eq!(answer.problem(), "not-found", "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}
