//! Bodies that are broken, strange or too large.

use reqwest::Method;

use super::{faults, two_mebibytes, with_body};
use crate::support::TestClinic;

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

/// An answer's first line to so much of a body as comes at once, while the rest never does.
async fn said_to_half(clinic: &TestClinic, head: &str, announced: usize) -> String {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let address = clinic.address.trim_start_matches("http://");
    let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("{head}Host: {}\r\nContent-Length: {announced}\r\n\r\n{{", clinic.host);
    line.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(&mut line).read_line(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_door_a_body_that_comes_in_drops_or_is_too_large_is_refused() {
    let (_platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;
    let token = format!("Authorization: Bearer {}\r\n", desk.token.as_deref().unwrap());
    let me = desk.account_id.as_deref().unwrap();
    let doors = [
        (
            format!("POST /api/v1/patients HTTP/1.1\r\n{token}Content-Type: application/json\r\n"),
            1 << 20,
        ),
        (
            format!(
                "PUT /api/v1/users/{me}/avatar HTTP/1.1\r\n{token}If-Match: *\r\nContent-Type: image/png\r\n"
            ),
            512 << 10,
        ),
        (
            "POST /webhooks/whatsapp HTTP/1.1\r\nContent-Type: application/json\r\n".to_owned(),
            1 << 20,
        ),
        (
            "POST /webhooks/sms/msg91/key HTTP/1.1\r\nContent-Type: application/json\r\n"
                .to_owned(),
            1 << 20,
        ),
        (
            "POST /webhooks/email/generic HTTP/1.1\r\nContent-Type: application/json\r\n"
                .to_owned(),
            1 << 20,
        ),
    ];
    let began = std::time::Instant::now();

    let slow = doors.iter().map(|(head, _)| said_to_half(&clinic, head, 1000));
    let slow = futures_util::future::join_all(slow).await;

    let took = began.elapsed().as_secs();
    assert!((30..50).contains(&took), "{took}");
    for ((head, _), answer) in doors.iter().zip(slow) {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{head} {answer}");
    }
    // Who announces too much is told so; who only sends it is, too.
    for (head, limit) in &doors {
        for announced in [true, false] {
            let answer = said_to_whole(&clinic, head, limit + 1, announced).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{head} {announced} {answer}");
        }
    }
}

/// An answer's first line to a body of that many bytes, with its length announced or in pieces.
async fn said_to_whole(clinic: &TestClinic, head: &str, size: usize, announced: bool) -> String {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let address = clinic.address.trim_start_matches("http://");
    let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = vec![b' '; size];
    let (length, body) = match announced {
        true => (format!("Content-Length: {size}"), body),
        false => {
            let pieces = body.chunks(60_000).map(|piece| {
                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            });
            let whole: Vec<u8> = pieces.flatten().chain(*b"0\r\n\r\n").collect();
            ("Transfer-Encoding: chunked".to_owned(), whole)
        }
    };
    let head = format!("{head}Host: {}\r\n{length}\r\n\r\n", clinic.host);
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(&body).await.unwrap();
    let mut answer = String::new();
    BufReader::new(&mut line).read_line(&mut answer).await.unwrap();
    answer
}
