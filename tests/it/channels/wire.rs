//! Whatever goes wrong on the wire is told apart: what never left, what was refused, and what nobody can know.

use std::time::{Duration, Instant};

use nadi::messaging::channels::breaker::Verdict;
use nadi::messaging::channels::{ErrorClass, Failure, Lane, Reached};

use super::{account, assert_discreet, code, http, outgoing};
use crate::support::providers::{Fault, ProviderServer, WhatsappServer};

async fn meta() -> WhatsappServer {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "hi");
    meta
}

async fn failure(meta: &ProviderServer, fault: Fault) -> Failure {
    meta.play(fault);
    let failure = account(meta).send(&http(), &outgoing(code())).await.unwrap_err();
    assert_discreet(&(failure.to_string(), &failure));
    failure
}

#[tokio::test]
async fn retry_after_is_heeded_in_every_form() {
    let meta = meta().await;
    let in_a_minute = (chrono::Utc::now() + chrono::TimeDelta::seconds(60)).to_rfc2822();
    let in_a_minute = in_a_minute.replace("+0000", "GMT");
    for (header, least, most) in [
        (Some("7"), 7, 7),
        (Some(in_a_minute.as_str()), 50, 60),
        (Some("1000000000"), 1_000_000_000, 1_000_000_000),
        (Some("Sat, 21 Nov 2020 10:00:00 GMT"), 0, 0),
    ] {
        let failure = failure(&meta, Fault::too_many(header)).await;
        assert_eq!((failure.class, failure.http), (ErrorClass::Pace, Some(429)));
        let wait = failure.retry_after.unwrap().as_secs();
        assert!((least..=most).contains(&wait), "{header:?}: {wait}");
        assert!(failure.asks_for_slower_pace());
    }
    for header in [None, Some("soon"), Some("-1")] {
        assert_eq!(failure(&meta, Fault::too_many(header)).await.retry_after, None);
    }
}

#[tokio::test]
async fn answers_without_meaning_go_by_their_status() {
    let meta = meta().await;
    for (fault, class, reached) in [
        (Fault::status(500), ErrorClass::Transient, Reached::Answered),
        (Fault::html(502), ErrorClass::Transient, Reached::Answered),
        (Fault::status(503), ErrorClass::Transient, Reached::Answered),
        (Fault::status(400), ErrorClass::Refused, Reached::Answered),
        (Fault::html(404), ErrorClass::Refused, Reached::Answered),
        (Fault::html(200), ErrorClass::Transient, Reached::Perhaps),
        (
            Fault::TakenAnswer(b"{\"messages\": [{\"id\": \"wam".to_vec()),
            ErrorClass::Transient,
            Reached::Perhaps,
        ),
        (
            Fault::TakenAnswer(b"{\"messages\": []}".to_vec()),
            ErrorClass::Transient,
            Reached::Perhaps,
        ),
        (
            Fault::TakenAnswer(b"{\"messages\": [{\"id\": 7}]}".to_vec()),
            ErrorClass::Transient,
            Reached::Perhaps,
        ),
        (Fault::TakenAnswer(b"[]".to_vec()), ErrorClass::Transient, Reached::Perhaps),
        (Fault::TakenAnswer(vec![0x1f, 0x8b, 8, 0, 0]), ErrorClass::Transient, Reached::Perhaps),
        (Fault::TakenAnswer(Vec::new()), ErrorClass::Transient, Reached::Perhaps),
    ] {
        let told = format!("{fault:?}");
        let failure = failure(&meta, fault).await;
        assert_eq!((failure.class, failure.reached), (class, reached), "{told}");
    }
}

#[tokio::test]
async fn a_call_that_breaks_off_may_have_been_acted_on() {
    let meta = meta().await;
    for (fault, taken) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1), (Fault::CutShort, 2)] {
        let failure = failure(&meta, fault).await;

        assert!(failure.is_ambiguous(), "{failure:?}");
        assert_eq!(failure.class, ErrorClass::Transient);
        assert_eq!(meta.sent().len(), taken);
    }
    account(&meta).send(&http(), &outgoing(code())).await.unwrap();
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    let meta = meta().await;

    let failure = failure(&meta, Fault::huge()).await;

    assert!(failure.is_ambiguous() && failure.message.contains("too long"), "{failure}");
    // In pieces it is no smaller: a status that says no is believed all the same.
    let body = vec![b'x'; 20 * 1024 * 1024];
    let refused = self::failure(&meta, Fault::Answer { status: 400, headers: vec![], body }).await;
    assert_eq!(refused.class, ErrorClass::Refused);
}

#[tokio::test]
async fn silence_ends_at_the_first_byte_and_dripping_at_the_total() {
    let meta = meta().await;
    for (fault, least, most) in [(Fault::Hang, 1.0, 1.9), (Fault::Drip, 2.0, 6.0)] {
        let began = Instant::now();
        let failure = failure(&meta, fault).await;

        let took = began.elapsed().as_secs_f64();
        assert!((least..most).contains(&took), "{took}");
        assert!(failure.is_ambiguous());
    }
}

#[tokio::test]
async fn codes_are_less_patient_and_nothing_outlives_its_message() {
    let meta = meta().await;
    let limits = nadi::messaging::channels::http::Limits {
        total_for_codes: Duration::from_millis(300),
        ..Default::default()
    };
    let http = super::http_with(limits);
    meta.play_on("", Fault::Hang);
    let mut message = outgoing(code());
    message.lane = Lane::Codes;

    let began = Instant::now();
    assert!(account(&meta).send(&http, &message).await.unwrap_err().is_ambiguous());
    message.lane = Lane::Others;
    message.time_left = Duration::from_millis(200);
    assert!(account(&meta).send(&http, &message).await.unwrap_err().is_ambiguous());

    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let meta = meta().await;
    let elsewhere = WhatsappServer::start().await;

    let failure = failure(&meta, Fault::moved(&elsewhere.url())).await;

    assert_eq!((failure.class, failure.http), (ErrorClass::Refused, Some(301)));
    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_down_was_never_reached() {
    let meta = meta().await;
    let mut account = account(&meta);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    account.base = format!("http://{gone}").parse().unwrap();

    let failure = account.send(&http(), &outgoing(code())).await.unwrap_err();

    assert_eq!((failure.class, failure.reached), (ErrorClass::Transient, Reached::Nothing));
    assert_eq!(Verdict::of(&Err(failure)), Verdict::Failing);
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_is_told_so() {
    let meta = meta().await;
    let mut account = account(&meta);
    account.base = format!("https://{}", meta.address).parse().unwrap();

    let failure = account.send(&http(), &outgoing(code())).await.unwrap_err();

    assert_eq!((failure.class, failure.reached), (ErrorClass::Transient, Reached::Nothing));
    assert!(meta.sent().is_empty());
}
