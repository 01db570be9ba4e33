//! A second factor: wanted after the right password, good once, given up by its owner alone.

use chrono::TimeDelta;
use nadi::auth::Role;
use serde_json::json;

use super::{App, DOCTOR, as_in, enrol, fault, log_in, next_step, statuses};
use crate::support::{PASSWORD, TestClinic, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn a_factor_counts_once_it_is_confirmed() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let elsewhere = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let wrong = doctor.post("/auth/totp", &json!({ "password": "not the password" })).await;
    assert_eq!(wrong.expect(422).faults(), fault("/password", "wrong_password"));
    let stale = doctor.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(200);
    let begun = doctor.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(200);
    let secret = begun.body["secret"].as_str().unwrap();
    let app = App::with(secret);
    let url = format!("otpauth://totp/shanti%20clinic:doctor%40shanti%2Eexample?secret={secret}&");
    assert!(begun.body["otpauth_url"].as_str().unwrap().starts_with(&url), "{}", begun.text);
    assert_eq!(begun.body["recovery_codes"].as_array().unwrap().len(), 10);
    log_in(&anybody, DOCTOR, None).await.expect(200); // not confirmed: not wanted
    next_step(clock);
    let stale = App::with(stale.body["secret"].as_str().unwrap());
    let stale = json!({ "code": stale.code(clock, 0) });
    let refused = doctor.post("/auth/totp/confirm", &stale).await.expect(422);
    assert_eq!(refused.faults(), fault("/code", "wrong_code"));

    let code = app.code(clock, 0);
    doctor.post("/auth/totp/confirm", &json!({ "code": code })).await.expect(204);

    doctor.get("/auth/me").await.expect(200);
    elsewhere.get("/auth/me").await.expect(401); // it was opened without
    doctor.post("/auth/totp/confirm", &json!({ "code": code })).await.expect(409);
    doctor.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(409);
    let wanted = log_in(&anybody, DOCTOR, None).await.expect(401);
    assert_eq!(wanted.problem(), "totp-required");
    let wrong =
        json!({ "identifier": DOCTOR, "password": "wrong", "totp_code": app.code(clock, 1) });
    let wrong = anybody.post("/auth/login", &wrong).await.expect(401);
    assert_eq!(wrong.problem(), "invalid-credentials", "nothing of a factor without the password");
    let spent = log_in(&anybody, DOCTOR, Some(&code)).await.expect(401);
    assert_eq!(spent.problem(), "totp-invalid", "the one that confirmed it");
    let entered = log_in(&anybody, DOCTOR, Some(&app.code(clock, 1))).await.expect(200);
    as_in(&anybody, &entered).get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_for_one_session_also_at_once() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let (app, _) = enrol(clock, &doctor).await;
    let code = app.code(clock, 0);

    let tries = (0..4).map(|_| log_in(&anybody, DOCTOR, Some(&code)));
    let answers = futures_util::future::join_all(tries).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.problem() == "totp-invalid").count(), 3);
    let sessions = "select count(*) from sessions s join users u on u.id = s.user_id
                    where u.role = 'doctor' and ended_at is null";
    assert_eq!(clinic.count(sessions).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_half_minutes_beside_now_count_and_none_before_one_that_was_used() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let (app, _) = enrol(clock, &doctor).await;
    clock.advance(TimeDelta::seconds(600));
    let of = |later| app.code(clock, later);

    for (later, status) in [(-2, 401), (2, 401), (-1, 200), (-1, 401), (1, 200), (0, 401), (1, 401)]
    {
        let answer = log_in(&anybody, DOCTOR, Some(&of(later))).await;
        assert_eq!(answer.status, status, "{later}: {}", answer.text);
    }
    clock.advance(TimeDelta::seconds(60));
    log_in(&anybody, DOCTOR, Some(&of(0)[..3])).await.expect(401);
    let spaced = format!("{} {}", &of(0)[..3], &of(0)[3..]);
    log_in(&anybody, DOCTOR, Some(&spaced)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_stands_in_once_also_at_once() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let (_, codes) = enrol(&platform.clock, &doctor).await;
    let typed = codes[3].to_lowercase().replace('-', "");

    let (a, b) = tokio::join!(
        log_in(&anybody, DOCTOR, Some(&codes[3])),
        log_in(&anybody, DOCTOR, Some(&typed))
    );

    assert_eq!(statuses([&a, &b]), [200, 401]);
    let again = log_in(&anybody, DOCTOR, Some(&codes[3])).await.expect(401);
    assert_eq!(again.problem(), "totp-invalid");
    log_in(&anybody, DOCTOR, Some(&codes[9])).await.expect(200);
    let used = "select count(*) from audit_log where action = 'account.recovery_code_used'";
    assert_eq!(clinic.count(used).await, 2);
    let kept = "select count(*) from recovery_codes where code_hash like '$argon2id$%'";
    assert_eq!(clinic.count(kept).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_with_the_password_or_a_code_and_not_by_a_session_alone() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let give_up = async |body: serde_json::Value| {
        doctor.send(doctor.request(reqwest::Method::DELETE, "/auth/totp").json(&body)).await
    };
    let (app, codes) = enrol(clock, &doctor).await;

    give_up(json!({})).await.expect(422);
    let refused = give_up(json!({ "password": "not the password" })).await.expect(422);
    assert_eq!(refused.faults(), fault("/password", "wrong_password"));
    let refused = give_up(json!({ "code": "000000" })).await.expect(422);
    assert_eq!(refused.faults(), fault("/code", "wrong_code"));
    give_up(json!({ "code": app.code(clock, 0) })).await.expect(204);

    log_in(&anybody, DOCTOR, None).await.expect(200);
    give_up(json!({ "password": PASSWORD })).await.expect(404);
    let (_, others) = enrol(clock, &doctor).await;
    log_in(&anybody, DOCTOR, Some(&codes[0])).await.expect(401); // of the factor before
    log_in(&anybody, DOCTOR, Some(&others[0])).await.expect(200);
    give_up(json!({ "password": PASSWORD })).await.expect(204);
    log_in(&anybody, DOCTOR, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_keeps_factors_as_clinics_do() {
    let platform = TestPlatform::new().await;
    let clock = &platform.clock;
    let above = platform.super_admin().await;
    let me = above.get("/auth/me").await.expect(200);
    let email = me.body["user"]["email"].as_str().unwrap();
    let anybody = platform.anybody("admin.localhost");

    let (app, codes) = enrol(clock, &above).await;

    assert_eq!(log_in(&anybody, email, None).await.expect(401).problem(), "totp-required");
    log_in(&anybody, email, Some(&app.code(clock, 0))).await.expect(200);
    log_in(&anybody, email, Some(&codes[0])).await.expect(200);
    log_in(&anybody, email, Some(&codes[0])).await.expect(401);
    let owner = platform.platform_account(Role::ClinicOwner).await;
    owner.get("/settings/sign-in").await.expect(403);
}
