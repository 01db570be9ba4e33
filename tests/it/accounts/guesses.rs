//! Guessing at a second factor: five from one place, some more from everywhere, and nobody locks out who is elsewhere.

use super::{DOCTOR, behind_a_proxy, enrol, log_in_from};
use crate::support::PASSWORD;

const OWN: &str = "198.51.100.1";

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_from_one_place_and_the_owner_comes_in_from_another() {
    let platform = behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let (app, codes) = enrol(clock, &doctor).await;
    let thief = "203.0.113.66";

    let guesses = (0..12).map(|_| log_in_from(&anybody, thief, DOCTOR, Some("no-such-code")));
    let answers = futures_util::future::join_all(guesses).await;

    let wrong = answers.iter().filter(|answer| answer.problem() == "totp-invalid").count();
    let refused = answers.iter().filter(|answer| answer.problem() == "rate-limited").count();
    assert_eq!((wrong, refused), (5, 7));
    let code = app.code(clock, 0);
    let late = log_in_from(&anybody, thief, DOCTOR, Some(&code)).await.expect(429);
    assert!(late.header("retry-after").parse::<u64>().unwrap() <= 900);
    log_in_from(&anybody, thief, DOCTOR, Some(&codes[0])).await.expect(429);
    log_in_from(&anybody, OWN, DOCTOR, Some(&code)).await.expect(200);
    sqlx::query("update login_failures set failed_at = failed_at - interval '15 minutes'")
        .execute(&mut clinic.connection().await)
        .await
        .unwrap();
    log_in_from(&anybody, thief, DOCTOR, Some(&codes[0])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_from_everywhere_is_stopped_and_the_owner_is_not() {
    let platform = behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let (app, _) = enrol(clock, &doctor).await;
    log_in_from(&anybody, OWN, DOCTOR, Some(&app.code(clock, 0))).await.expect(200);

    for from in 0..10 {
        for _ in 0..5 {
            let from = format!("203.0.113.{from}");
            log_in_from(&anybody, &from, DOCTOR, Some("000-000")).await.expect(401);
        }
    }

    let code = app.code(clock, 1);
    log_in_from(&anybody, "203.0.113.77", DOCTOR, Some(&code)).await.expect(429);
    log_in_from(&anybody, OWN, DOCTOR, Some(&code)).await.expect(200);
}
