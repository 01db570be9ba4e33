//! A host leads to one clinic, and nothing else in a request does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Options, TestPlatform};

/// Sends bytes as they are, and reads the answer to its end: status and body.
async fn raw(address: &str, bytes: impl AsRef<[u8]>) -> (u16, String) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no HTTP: {answer}")), answer)
}

/// The front page of a clinic names it: whose it is shows whom a request reached.
fn front(head: &str) -> String {
    format!("GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_leads_to_its_own_clinic_or_nowhere() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    for head in [
        "Host: shanti.localhost\r\n",
        "Host: SHANTI.LocalHost\r\n",
        "Host: shanti.localhost:8088\r\n",
        "Host: shanti.localhost.\r\n",
        "hOsT: shanti.localhost.:1\r\n",
        "Host: shanti.localhost\r\nX-Forwarded-Host: arogya.localhost\r\n",
        "Host: shanti.localhost\r\nX-Original-Host: arogya.localhost\r\nForwarded: host=arogya.localhost\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 200, "{head} {answer}");
        assert!(answer.contains("shanti clinic") && !answer.contains("arogya"), "{head} {answer}");
    }

    for head in [
        "",
        "Host: \r\n",
        "Host: 127.0.0.1\r\n",
        "Host: 127.0.0.1:8088\r\n",
        "Host: [::1]:8088\r\n",
        "Host: 2130706433\r\n",
        "Host: shanti.localhost\r\nHost: arogya.localhost\r\n",
        "Host: shanti.localhost\r\nHost: shanti.localhost\r\n",
        "Host: shanti.localhost, arogya.localhost\r\n",
        "Host: shanti.localhost@arogya.localhost\r\n",
        "Host: shanti.localhost/arogya\r\n",
        "Host: shanti.localhost:80:80\r\n",
        "Host: shanti.localhost:port\r\n",
        "Host: shanti..localhost\r\n",
        "Host: shanti\u{ff0e}localhost\r\n",
        "Host: shanti\u{3002}localhost\r\n",
        "Host: shanti%2elocalhost\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 400, "{head} {answer}");
        assert!(!answer.contains("clinic</h1>"), "{head} {answer}");
    }

    for head in [
        "Host: xn--shnti-hra.localhost\r\n",
        "Host: shanti.localhost.evil.example\r\n",
        "Host: shantilocalhost\r\n",
        "Host: arogya.shanti.localhost\r\n",
        "Host: nobody.localhost\r\n",
        "Host: shanti\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 404, "{head} {answer}");
        assert!(answer.contains("unknown-clinic"), "{head} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_names_a_host_must_agree() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    let agreeing = "GET http://shanti.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(at, agreeing).await.0, 200);
    for request in [
        "GET http://arogya.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let (status, answer) = raw(at, request).await;
        assert_eq!(status, 400, "{request} {answer}");
        assert!(answer.contains("bad-host"), "{request} {answer}");
    }
    // HTTP/1.0 with a Host is as good as any.
    let (status, answer) = raw(at, "GET / HTTP/1.0\r\nHost: shanti.localhost\r\n\r\n").await;
    assert_eq!(status, 200, "{answer}");
    // Health is for whoever asks, by whatever name.
    for request in [
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "GET /health/ready HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n",
    ] {
        assert_eq!(raw(at, request).await.0, 200, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_host_counts_from_a_trusted_proxy_alone() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    for (head, status, whose) in [
        ("Host: 10.0.0.7:8088\r\nX-Forwarded-Host: shanti.localhost\r\n", 200, "shanti clinic"),
        (
            "Host: arogya.localhost\r\nX-Forwarded-Host: SHANTI.localhost:443\r\n",
            200,
            "shanti clinic",
        ),
        ("Host: shanti.localhost\r\n", 200, "shanti clinic"),
        (
            "Host: shanti.localhost\r\nX-Forwarded-Host: shanti.localhost, arogya.localhost\r\n",
            400,
            "bad-host",
        ),
        (
            "Host: shanti.localhost\r\nX-Forwarded-Host: shanti.localhost\r\nX-Forwarded-Host: arogya.localhost\r\n",
            400,
            "bad-host",
        ),
        ("Host: shanti.localhost\r\nX-Forwarded-Host: \r\n", 400, "bad-host"),
        ("Host: shanti.localhost\r\nHost: arogya.localhost\r\n", 400, "bad-host"),
    ] {
        let (answered, answer) = raw(at, front(head)).await;
        assert_eq!(answered, status, "{head} {answer}");
        assert!(answer.contains(whose), "{head} {answer}");
    }
    let disagreeing = "GET http://arogya.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(at, disagreeing).await.0, 400);
}
