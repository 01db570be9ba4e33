//! Who a provider says to be is proved, by an authority that we believe and for the very name that we called; or nothing is said.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nadi::messaging::MailServer;
use nadi::messaging::channels::guard::AllowList;
use nadi::messaging::channels::http::{Http, Limits};
use nadi::messaging::channels::{ErrorClass, Reached, whatsapp};
use nadi::time::Clock;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use secrecy::SecretString;

use super::{PHONE, TOKEN, code, http, outgoing};

/// A certificate and its key, by one authority of the tests'; good for a hundred years.
struct Identity(&'static [u8], &'static [u8]);

const AUTHORITY: &[u8] = include_bytes!("tls/authority.der");
const LOCALHOST: Identity =
    Identity(include_bytes!("tls/localhost.der"), include_bytes!("tls/localhost.key.der"));
const OTHER: Identity =
    Identity(include_bytes!("tls/other.der"), include_bytes!("tls/other.key.der"));

/// Somebody who answers every call as WhatsApp does, under that name; says how many calls were heard in full.
fn provider(identity: Identity) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = heard.clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.1));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(identity.0)], key)
        .unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut wire = StreamOwned::new(connection, socket);
            let mut call = [0; 4096];
            if wire.read(&mut call).is_ok_and(|read| read > 0) {
                counted.fetch_add(1, Ordering::Relaxed);
                let body = r#"{"messages":[{"id":"wamid.1"}]}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = wire.write_all(answer.as_bytes()).and_then(|()| wire.flush());
            }
        }
    });
    (port, heard)
}

fn account(port: u16) -> whatsapp::Account {
    whatsapp::Account {
        base: format!("https://localhost:{port}").parse().unwrap(),
        version: "v23.0".into(),
        phone_number_id: PHONE.into(),
        token: TOKEN.into(),
    }
}

fn trusting() -> Http {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(AUTHORITY)).unwrap();
    let allowed = AllowList::new(["127.0.0.1"]).unwrap();
    Http::trusting(roots, Limits::default(), allowed, Clock::system()).unwrap()
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_before_a_word_is_said() {
    let (right, heard_right) = provider(LOCALHOST);
    let (wrong, heard_wrong) = provider(OTHER);

    account(right).send(&trusting(), &outgoing(code())).await.unwrap();
    let failure = account(wrong).send(&trusting(), &outgoing(code())).await.unwrap_err();

    assert_eq!((failure.class, failure.reached), (ErrorClass::Transient, Reached::Nothing));
    assert_eq!(failure.code.as_deref(), Some("tls"), "{failure}");
    assert_eq!(heard_right.load(Ordering::Relaxed), 1);
    assert_eq!(heard_wrong.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_authority_that_nobody_knows_is_refused() {
    let (port, heard) = provider(LOCALHOST);

    let failure = account(port).send(&http(), &outgoing(code())).await.unwrap_err();

    assert_eq!((failure.code.as_deref(), failure.reached), (Some("tls"), Reached::Nothing));
    let mail = MailServer::new(&SecretString::from(format!("smtps://localhost:{port}"))).unwrap();
    let failure = mail.answers().await.unwrap_err();
    assert!(failure.contains("invalid peer certificate: UnknownIssuer"), "{failure}");
    assert_eq!(heard.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_host_that_is_slow_to_accept_is_given_up_in_time_and_nothing_was_said() {
    // Its queue of those who wait to be accepted is full, so that nobody is let in.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address))
            .await
    {
        waiting.push(one);
        assert!(waiting.len() < 50, "it lets everybody in");
    }
    let mut account = account(0);
    account.base = format!("http://{address}").parse().unwrap();
    let began = Instant::now();

    let failure = account.send(&trusting(), &outgoing(code())).await.unwrap_err();

    let took = began.elapsed();
    assert!((1.5..4.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!((failure.class, failure.reached), (ErrorClass::Transient, Reached::Nothing));
    assert_eq!(failure.code.as_deref(), Some("connect"));
}
