//! Sign-ins and links that were refused are on record, and nobody fills the log with them.

use serde_json::json;

use super::{DOCTOR, behind_a_proxy, enrol, log_in, log_in_from, reset};
use crate::support::{PASSWORD, TestClinic, until};

/// The counts under which an action was written.
async fn written(clinic: &TestClinic, action: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "select (details ->> 'count')::bigint from audit_log where action = $1 order by id",
    )
    .bind(action)
    .fetch_all(&mut clinic.connection().await)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_and_again_is_written_down_the_first_the_tenth_and_the_hundredth_time() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();

    for _ in 0..12 {
        assert_eq!(reset(&anybody, "no-such-token").await.expect(401).problem(), "link-expired");
    }
    let setting = json!({ "token": "no-such-token", "password": "monsoon harvest lamp" });
    anybody.post("/auth/set-password", &setting).await.expect(401);
    let proving = json!({ "token": "no-such-token" });
    anybody.post("/auth/verify-email", &proving).await.expect(401);

    assert_eq!(written(&clinic, "link.refused").await, [1, 10, 1, 1]);
    sqlx::query(
        "insert into login_failures (subject_sha256)
         select subject_sha256 from (select subject_sha256 from login_failures group by 1 having count(*) > 5) as s,
           generate_series(1, 87)",
    )
    .execute(&mut clinic.connection().await)
    .await
    .unwrap();
    for _ in 0..3 {
        reset(&anybody, "no-such-token").await.expect(401);
    }
    assert_eq!(written(&clinic, "link.refused").await, [1, 10, 1, 1, 100]);
    assert_eq!(
        clinic.count("select count(*) from login_failures").await,
        102,
        "then nobody counts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_a_limit_refuses_is_on_record_without_what_was_typed() {
    let platform = behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let wrong = json!({ "identifier": "nobody@shanti.example", "password": "a wrong password" });

    for _ in 0..10 {
        anybody.post("/auth/login", &wrong).await.expect(401);
    }
    for _ in 0..3 {
        anybody.post("/auth/login", &wrong).await.expect(429);
    }

    assert_eq!(written(&clinic, "session.limited").await, [1]);
    let told = "select count(*) from audit_log where action = 'session.limited' and account_id is null
                and length(details ->> 'identifier_mac') = 16 and details::text not like '%nobody%'";
    assert_eq!(clinic.count(told).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_password_and_no_factor_is_on_record() {
    let platform = behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    enrol(&platform.clock, &doctor).await;

    log_in(&anybody, DOCTOR, None).await.expect(401);
    for _ in 0..5 {
        log_in_from(&anybody, "203.0.113.66", DOCTOR, Some("no-such-code")).await.expect(401);
    }
    log_in_from(&anybody, "203.0.113.66", DOCTOR, Some("no-such-code")).await.expect(429);

    assert_eq!(written(&clinic, "session.factor_wanted").await, [1]);
    assert_eq!(written(&clinic, "session.limited").await, [1]);
    let whose = "select count(*) from audit_log a join users u on u.id = a.entity_id
                 where a.action in ('session.factor_wanted', 'session.limited') and u.role = 'doctor'
                   and a.session_id is null and a.account_id is null";
    assert_eq!(clinic.count(whose).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_one_time_code_is_on_record() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let asked = json!({ "identifier": "+919847012345" });
    let asked = anybody.post("/auth/otp/request", &asked).await.expect(202);
    let wrong = json!({ "request_id": asked.body["request_id"], "code": "no code" });
    let unknown = json!({ "request_id": nadi::ids::new_uuid(), "code": "000000" });
    let choice = json!({ "choice_token": "none", "user_id": nadi::ids::new_uuid() });

    anybody.post("/auth/otp/verify", &wrong).await.expect(401);
    anybody.post("/auth/otp/verify", &unknown).await.expect(401);
    anybody.post("/auth/otp/choose", &choice).await.expect(401);

    // The second and the third are of one network.
    assert_eq!(written(&clinic, "session.refused").await, [1, 1]);
}

/// Somebody waits for a lock.
async fn waits(clinic: &TestClinic) {
    until("somebody waits", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        clinic.count(waiting).await > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_just_being_opened_without_the_factor_ends_with_the_others() {
    let (platform, clinic) = TestClinic::new().await;
    let doctor = clinic.anybody().sign_in(DOCTOR, PASSWORD).await;
    let begun = doctor.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(200);
    let app = super::App::with(begun.body["secret"].as_str().unwrap());
    super::next_step(&platform.clock);
    // A sign-in that found no factor, and has not committed yet.
    let mut inside = clinic.connection().await;
    let mut signing_in = sqlx::Connection::begin(&mut inside).await.unwrap();
    sqlx::query("select from users where role = 'doctor' for share")
        .execute(&mut *signing_in)
        .await
        .unwrap();
    sqlx::query(
        "insert into sessions (id, user_id, expires_at)
         select gen_random_uuid(), id, now() + interval '1 day' from users where role = 'doctor'",
    )
    .execute(&mut *signing_in)
    .await
    .unwrap();

    let code = json!({ "code": app.code(&platform.clock, 0) });
    let (confirmed, ()) = tokio::join!(doctor.post("/auth/totp/confirm", &code), async {
        waits(&clinic).await;
        signing_in.commit().await.unwrap();
    });

    confirmed.expect(204);
    let open = "select count(*) from sessions s join users u on u.id = s.user_id
                where u.role = 'doctor' and ended_at is null";
    assert_eq!(clinic.count(open).await, 1, "the one that confirmed");
}
