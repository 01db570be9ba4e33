//! How many calls are under way: one clinic's trouble is its own.

use std::sync::Arc;
use std::time::Duration;

use nadi::ids::ClinicId;
use nadi::messaging::channels::breaker::Closed;
use nadi::messaging::channels::breakers::{Breakers, Key};
use nadi::messaging::channels::http::Limits;
use nadi::messaging::channels::{ErrorClass, Lane, Reached};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{account, code, http_with, outgoing};
use crate::support::providers::{Fault, WhatsappServer};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn one_clinics_hanging_calls_leave_room_for_another_and_for_its_own_codes() {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "hi");
    let http = Arc::new(http_with(Limits::default()));
    let account = Arc::new(account(&meta));
    meta.play_on("911111111111", Fault::Hang);
    let shanti = ClinicId::new();
    let mut hanging = JoinSet::new();
    for _ in 0..30 {
        let (http, account) = (http.clone(), account.clone());
        hanging.spawn(async move {
            let mut message = super::outgoing_to("+911111111111", code());
            message.clinic_id = shanti;
            account.send(&http, &message).await
        });
    }
    until("its lane is full", async || meta.calls().len() == 8).await;

    let began = Instant::now();
    account.send(&http, &outgoing(code())).await.unwrap();
    let mut own_code = outgoing(code());
    (own_code.clinic_id, own_code.lane) = (shanti, Lane::Codes);
    account.send(&http, &own_code).await.unwrap();

    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(meta.most_at_once() <= 8 + 1, "{}", meta.most_at_once());
    hanging.abort_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_finds_no_place_is_no_failure_of_the_provider() {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "hi");
    meta.play_on("", Fault::Hang);
    let limits = Limits { calls_for_each_clinic: 1, ..Limits::default() };
    let http = Arc::new(http_with(limits));
    let account = Arc::new(account(&meta));
    let clinic_id = ClinicId::new();
    let first = tokio::spawn({
        let (http, account) = (http.clone(), account.clone());
        async move {
            let mut message = outgoing(code());
            message.clinic_id = clinic_id;
            account.send(&http, &message).await
        }
    });
    until("the first is under way", async || meta.calls().len() == 1).await;
    let mut second = outgoing(code());
    (second.clinic_id, second.time_left) = (clinic_id, Duration::from_millis(100));

    let failure = account.send(&http, &second).await.unwrap_err();

    assert_eq!((failure.class, failure.reached), (ErrorClass::Pace, Reached::Nothing));
    assert!(!failure.asks_for_slower_pace());
    assert_eq!(meta.calls().len(), 1);
    first.abort();
}

#[tokio::test]
async fn a_breaker_opens_on_a_failing_provider_and_closes_on_its_first_answer() {
    let meta = WhatsappServer::start().await;
    meta.knows_code_template("nadi_otp", "hi");
    let (http, account) = (super::http(), account(&meta));
    let breakers = Breakers::new(64);
    let key = || Key::Host(meta.address.to_string());
    let now = Instant::now();
    meta.play_on("", Fault::status(503));
    for _ in 0..5 {
        let pass = breakers.enter([key()], now).unwrap();
        pass.end(&account.send(&http, &outgoing(code())).await, now);
    }
    assert_eq!(breakers.peek(&key(), now), Err(Closed::For(Duration::from_secs(15))));
    meta.calm();

    let later = now + Duration::from_secs(15);
    let probe = breakers.enter([key()], later).unwrap();
    assert!(breakers.peek(&key(), later).is_err(), "one probe");
    probe.end(&account.send(&http, &outgoing(code())).await, later);

    assert_eq!(breakers.peek(&key(), later), Ok(()));
}
