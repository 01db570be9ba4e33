//! The conventions of every answer: which refusal comes first, what a problem looks like, what no input may break.

use nadi::auth::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestClinic, TestPlatform};

fn two_mebibytes() -> String {
    json!({ "full_name": "x".repeat(2 * 1024 * 1024) }).to_string()
}

fn faults(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(place, code)| ((*place).to_owned(), (*code).to_owned())).collect()
}

/// A request with a JSON body given as text.
fn with_body(
    caller: &Caller,
    method: Method,
    path: &str,
    body: impl Into<String>,
) -> RequestBuilder {
    caller.request(method, path).header("content-type", "application/json").body(body.into())
}

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

#[tokio::test(flavor = "multi_thread")]
async fn no_body_breaks_anything() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let post = async |body: Vec<u8>| {
        let request =
            desk.request(Method::POST, "/patients").header("content-type", "application/json");
        desk.send(request.body(body)).await
    };
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));

    for malformed in [
        String::new(),
        "{".into(),
        "[]".into(),
        "null".into(),
        "42".into(),
        "\"text\"".into(),
        "{'full_name': 'x'}".into(),
        "{\"full_name\": \"x\"} trailing".into(),
        "{\"full_name\": \"\\ud800\"}".into(),
        "{\"full_name\": 1e999}".into(),
        nested("[", "]"),
        nested("{\"full_name\":", "}"),
    ] {
        let answer = post(malformed.clone().into_bytes()).await.expect(400);
        assert_eq!(answer.problem(), "bad-request", "{malformed:.40}");
    }
    post(b"{\"full_name\": \"\xff\xfe\"}".to_vec()).await.expect(400);
    for (body, expected) in [
        ("{\"full_name\": 123456789012345678901234567890}", ("/full_name", "wrong_type")),
        ("{\"full_name\": {\"a\": []}}", ("/full_name", "wrong_type")),
        ("{\"full_name\": null}", ("/full_name", "required")),
        ("{\"full_name\": \"  \"}", ("/full_name", "required")),
        ("{\"full_name\": \"nul\\u0000\"}", ("/full_name", "invalid_characters")),
        ("{\"full_name\": \"x\", \"notes\": \"nul\\u0000\"}", ("/notes", "invalid_characters")),
        ("{\"full_name\": \"x\", \"a/b~c\": 1}", ("/a~1b~0c", "unknown_field")),
        ("{\"full_name\": \"x\", \"\": 1}", ("/", "unknown_field")),
        ("{\"full_name\": \"x\", \"id\": \"x\"}", ("/id", "unknown_field")),
        (
            "{\"full_name\": \"x\", \"date_of_birth\": \"2099-01-01\"}",
            ("/date_of_birth", "in_the_future"),
        ),
        (
            "{\"full_name\": \"x\", \"date_of_birth\": \"2001-02-30\"}",
            ("/date_of_birth", "invalid_format"),
        ),
        ("{\"full_name\": \"x\", \"phone\": \"12\"}", ("/phone", "invalid_format")),
        ("{\"full_name\": \"x\", \"email\": \"not mail\"}", ("/email", "invalid_format")),
    ] {
        let answer = post(body.as_bytes().to_vec()).await.expect(422);
        assert_eq!(answer.faults(), faults(&[expected]), "{body}");
    }
    assert_eq!(clinic.count("select count(*) from patients").await, 2, "bad input changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_heard_out_and_the_line_goes_on() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let token = desk.token.as_deref().unwrap();
    let address = clinic.address.trim_start_matches("http://");
    let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = two_mebibytes();
    let head = format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", clinic.host);

    let post = format!(
        "POST /api/v1/patients HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(post.as_bytes()).await.unwrap();
    line.write_all(
        format!("GET /api/v1/auth/me HTTP/1.1\r\n{head}Connection: close\r\n\r\n").as_bytes(),
    )
    .await
    .unwrap();
    let mut answers = String::new();
    line.read_to_string(&mut answers).await.unwrap();

    assert!(answers.starts_with("HTTP/1.1 413 "), "{answers}");
    assert!(
        answers.contains("HTTP/1.1 200 OK"),
        "the same line answers the next request: {answers}"
    );
    // As large as one may be, and one byte more, announced or in pieces.
    let edge = 1024 * 1024;
    for (size, status) in [(edge, 422), (edge + 1, 413)] {
        let body = format!("{{\"notes\":\"{}\"}}", "x".repeat(size - 12));
        assert_eq!(body.len(), size);
        desk.send(with_body(&desk, Method::POST, "/patients", body.clone())).await.expect(status);
        let pieces = body.into_bytes().chunks(60_000).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let head = format!(
            "POST /api/v1/patients HTTP/1.1\r\n{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
        line.write_all(head.as_bytes()).await.unwrap();
        for piece in pieces {
            line.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
            line.write_all(&piece).await.unwrap();
            line.write_all(b"\r\n").await.unwrap();
        }
        line.write_all(b"0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_outside_the_body_name_their_place() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let first = |answer: &Answer| answer.body["errors"][0].clone();

    for path in [
        "/patients?colour=blue",
        "/auth/me?colour=blue",
        "/auth/sessions?colour=",
        &format!("/patients/{}?colour=blue", clinic.patients[0]),
    ] {
        let answer = desk.get(path).await.expect(422);
        assert_eq!(answer.problem(), "invalid-input");
        let fault = first(&answer);
        assert_eq!(
            (&fault["in"], &fault["name"], &fault["code"]),
            (&json!("query"), &json!("colour"), &json!("unknown_field"))
        );
        assert!(fault.get("pointer").is_none(), "{fault}");
    }
    let answer = desk.get("/patients?limit=0&limit=3&search=x%00&colour=blue").await.expect(422);
    assert_eq!(
        answer.faults(),
        faults(&[
            ("search", "invalid_characters"),
            ("limit", "repeated"),
            ("colour", "unknown_field")
        ]),
    );
    for limit in ["0", "201", "-1", "ten", "1.5", "", "99999999999999999999"] {
        let answer = desk.get(&format!("/patients?limit={limit}")).await.expect(422);
        assert_eq!(answer.faults()[0].0, "limit", "{limit}");
    }
    let both = with_body(&desk, Method::POST, "/patients?colour=blue", "{\"shade\": 1}")
        .header("idempotency-key", "x".repeat(256));
    let answer = desk.send(both).await.expect(422);
    assert_eq!(
        answer.faults(),
        faults(&[
            ("Idempotency-Key", "invalid_format"),
            ("/full_name", "required"),
            ("/shade", "unknown_field"),
            ("colour", "unknown_field")
        ]),
    );
    assert_eq!(first(&answer)["in"], "header");
    desk.delete(&format!("/patients/{}?colour=blue", clinic.patients[1])).await.expect(422);
    desk.post("/auth/logout?colour=blue", &Value::Null).await.expect(422);
    desk.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_or_cursor_that_is_nonsense_names_nothing() {
    let (platform, clinic) = TestClinic::new().await;
    let (desk, owner) = (clinic.desk().await, platform.super_admin().await);

    for id in [
        "no-id",
        "%00",
        "%ff",
        "..%2f..",
        "0",
        "%F0%9F%98%80",
        "00000000-0000-0000-0000-000000000000",
    ] {
        desk.get(&format!("/patients/{id}")).await.expect(404);
        desk.get(&format!("/appointments/{id}")).await.expect(404);
        desk.get(&format!("/doctors/{id}/slots?from=2099-01-05&to=2099-01-06")).await.expect(404);
        owner.get(&format!("/clinics/{id}")).await.expect(404);
        owner.post(&format!("/clinics/{id}/suspend"), &Value::Null).await.expect(404);
    }
    use base64::Engine;
    let cursor = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    for path in [
        "/patients",
        "/patients?search=menon",
        "/patients?search=98470",
        "/appointments",
        "/clinics",
        "/clinic-admins",
    ] {
        let at_platform = path.starts_with("/clinic");
        let caller = if at_platform { &owner } else { &desk };
        let join = if path.contains('?') { '&' } else { '?' };
        for garbage in [
            "garbage".to_owned(),
            "%00".into(),
            "AAAA".into(),
            cursor("null"),
            cursor("{}"),
            cursor("[1]"),
            cursor("[[]]"),
            cursor("[1e30,\"x\"]"),
            cursor("\"\\u0000\""),
            cursor("17"),
            cursor("[\"-262000-01-01T00:00:00Z\",\"00000000-0000-0000-0000-000000000000\"]"),
        ] {
            let answer = caller.get(&format!("{path}{join}cursor={garbage}")).await;
            let refused = [400, 422].contains(&answer.status.as_u16());
            assert!(refused, "{path} {garbage}: {} {}", answer.status, answer.text);
        }
        caller.get(&format!("{path}{join}cursor=garbage")).await.expect(400);
    }
}

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

/// Every `$ref` of a description leads somewhere.
fn follow(value: &Value, whole: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get("$ref") {
                assert!(whole.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
            }
            members.values().for_each(|member| follow(member, whole));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(item, whole)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole_and_the_pages_need_nobody_else() {
    let (platform, clinic) = TestClinic::new().await;
    for caller in [clinic.anybody(), platform.anybody("admin.localhost")] {
        let description =
            caller.send(caller.raw(Method::GET, "/openapi.json")).await.expect(200).body;
        assert!(
            description["openapi"].as_str().unwrap().starts_with("3."),
            "{}",
            description["openapi"]
        );
        assert_eq!(description["servers"][0]["url"], "/api/v1");
        follow(&description, &description);
        let mut names = Vec::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                names.push(operation["operationId"].as_str().unwrap_or(path).to_owned());
                assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path = parameters.iter().filter(|p| p["in"] == "path").count();
                assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
                for parameter in &parameters {
                    assert!(
                        parameter["name"].is_string() && parameter["schema"].is_object(),
                        "{method} {path} {parameter}"
                    );
                }
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "operation ids are unique");

        for page in ["/", "/docs", "/set-password"] {
            let html = caller.send(caller.raw(Method::GET, page)).await.expect(200).text;
            assert!(
                !html.contains("://") && !html.contains("src=\"//"),
                "{page} fetches from elsewhere: {html}"
            );
            assert!(
                !html.contains("<style") && !html.contains("onclick"),
                "{page}: our policy would block it"
            );
            assert!(
                !html.split("<script").skip(1).any(|tag| !tag.trim_start().starts_with("src=")),
                "{page}"
            );
            for asset in html.split(['"']).filter(|part| part.starts_with("/assets/")) {
                caller.send(caller.raw(Method::GET, asset)).await.expect(200);
            }
        }
    }
    let landing = platform.anybody("localhost");
    let html = landing.send(landing.raw(Method::GET, "/")).await.expect(200).text;
    assert!(!html.contains("shanti"), "the base domain names no clinic");
}
