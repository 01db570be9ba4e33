//! Guessing a code.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{LAKSHMI, NOBODY, all_is_sent, another, ask, code, guess, pass, sign_in};
use crate::support::{Answer, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_expired_spent_and_never_made_sound_the_same() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let request = &asked.body["request_id"];
    let right = code(&platform, LAKSHMI, 1).await;
    let nobodys = ask(&anybody, NOBODY).await.expect(202);

    let wrong = guess(&anybody, request, &another(&right)).await;
    let strange = guess(&anybody, request, "not digits at all").await;
    let of_nobody = guess(&anybody, &nobodys.body["request_id"], &right).await;
    let never_made = guess(&anybody, &json!(nadi::ids::new_uuid()), &right).await;
    guess(&anybody, request, &right).await.expect(200);
    let spent = guess(&anybody, request, &right).await;
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 2).await;
    pass(&clinic, "301 s").await;
    let expired = guess(&anybody, &asked.body["request_id"], &right).await;

    let said = |answer: &Answer| {
        let mut body = answer.body.clone();
        body["instance"] = Value::Null;
        (answer.status.as_u16(), body, answer.headers.len())
    };
    assert_eq!(wrong.problem(), "otp-invalid");
    for other in [&strange, &of_nobody, &never_made, &spent, &expired] {
        assert_eq!(said(other), said(&wrong));
    }
    let bad = anybody.post("/auth/otp/verify", &json!({ "request_id": "x" })).await.expect(422);
    let faults = [("/request_id", "invalid_format"), ("/code", "required")];
    assert_eq!(bad.faults(), faults.map(|(p, c)| (p.to_owned(), c.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fifth_guess_may_be_right_and_a_sixth_is_not_judged() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 1).await;
    for _ in 0..4 {
        guess(&anybody, &asked.body["request_id"], &another(&right)).await.expect(401);
    }
    guess(&anybody, &asked.body["request_id"], &right).await.expect(200);

    let asked = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 2).await;
    for _ in 0..5 {
        guess(&anybody, &asked.body["request_id"], &another(&right)).await.expect(401);
    }
    guess(&anybody, &asked.body["request_id"], &right).await.expect(401);

    assert_eq!(clinic.count("select count(*) from sessions").await, 1);
    // Another code may be had, after the usual wait.
    ask(&anybody, LAKSHMI).await.expect(429);
    pass(&clinic, "31 s").await;
    let next = ask(&anybody, LAKSHMI).await.expect(202);
    let right = code(&platform, LAKSHMI, 3).await;
    assert_ne!(next.body["request_id"], asked.body["request_id"]);
    guess(&anybody, &next.body["request_id"], &right).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guesses_at_once_are_five() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let here = clinic.anybody();
    let there = here.at(&second.address, &clinic.host);
    let asked = ask(&here, LAKSHMI).await.expect(202);
    let request = &asked.body["request_id"];
    let right = code(&platform, LAKSHMI, 1).await;
    let wrong: Vec<String> = (1..=50)
        .map(|n| format!("{:06}", (right.parse::<u32>().unwrap() + n) % 1_000_000))
        .collect();

    let guesses = wrong
        .iter()
        .enumerate()
        .map(|(n, code)| guess(if n % 2 == 0 { &here } else { &there }, request, code));
    let answers = join_all(guesses).await;

    assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status.as_u16())));
    assert_eq!(clinic.count("select tries::bigint from otp_requests").await, 5);
    guess(&here, request, &right).await.expect(401); // spent: had a sixth been judged, this would be 200
}

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_at_once_make_one_session() {
    let (platform, clinic) = TestClinic::new().await;
    let second = platform.another_instance().await;
    let here = clinic.anybody();
    let there = here.at(&second.address, &clinic.host);
    let asked = ask(&here, LAKSHMI).await.expect(202);
    let request = &asked.body["request_id"];
    let right = code(&platform, LAKSHMI, 1).await;

    let guesses = (0..10).map(|n| guess(if n % 2 == 0 { &here } else { &there }, request, &right));
    let answers = join_all(guesses).await;

    let entered = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(entered, 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status.as_u16())));
    assert_eq!(clinic.count("select count(*) from sessions").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_wrong_guesses_are_enough_for_a_day_known_or_not() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    for identifier in [LAKSHMI, NOBODY] {
        for _ in 0..4 {
            let asked = ask(&anybody, identifier).await.expect(202);
            for _ in 0..5 {
                guess(&anybody, &asked.body["request_id"], "no code").await.expect(401);
            }
            pass(&clinic, "31 s").await;
        }
        let asked = ask(&anybody, identifier).await.expect(202);

        let refused = guess(&anybody, &asked.body["request_id"], "no code").await.expect(429);

        assert_eq!(refused.problem(), "rate-limited");
        assert_eq!(refused.header("ratelimit-policy"), "\"otp-guesses\";q=20;w=86400");
    }
    all_is_sent(&clinic).await;
    pass(&clinic, "25 h").await;
    sign_in(&platform, &anybody, LAKSHMI, LAKSHMI).await.expect(200);
}
