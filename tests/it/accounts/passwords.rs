//! Changing a password that is known.

use serde_json::json;

use super::{DOCTOR, NEW_PASSWORD, change, fault, forgot, reset, statuses, token};
use crate::support::{PASSWORD, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_every_other_session_and_every_link() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let here = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let there = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    forgot(&anybody, DOCTOR).await.expect(202);
    let link = token(&platform, DOCTOR, "reset-password", 1).await;

    here.post("/auth/change-password", &change(PASSWORD, NEW_PASSWORD)).await.expect(204);

    here.get("/auth/me").await.expect(200);
    there.get("/auth/me").await.expect(401);
    let refresh = json!({ "refresh_token": there.refresh_token });
    anybody.post("/auth/refresh", &refresh).await.expect(401);
    assert_eq!(reset(&anybody, &link).await.expect(401).problem(), "link-expired");
    let old = json!({ "identifier": DOCTOR, "password": PASSWORD });
    anybody.post("/auth/login", &old).await.expect(401);
    anybody.clone().sign_in(DOCTOR, NEW_PASSWORD).await;
    let log = "select count(*) from audit_log where action = 'account.password_changed'
               and details = '{\"sessions\": 1}'";
    assert_eq!(clinic.count(log).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_guesses_ten_times_and_no_more_also_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let doctor = clinic.anybody().sign_in(DOCTOR, PASSWORD).await;
    let wrong = change("not the password", NEW_PASSWORD);
    let refused = doctor.post("/auth/change-password", &wrong).await.expect(422);
    assert_eq!(refused.faults(), fault("/current_password", "wrong_password"));
    let same = doctor.post("/auth/change-password", &change(PASSWORD, PASSWORD)).await.expect(422);
    assert_eq!(same.faults(), fault("/new_password", "unchanged"));

    let guesses = (0..16).map(|_| doctor.post("/auth/change-password", &wrong));
    let answers = futures_util::future::join_all(guesses).await;

    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    let wrong = answers.iter().filter(|answer| answer.status == 422).count();
    assert!(wrong <= 10 && wrong + refused == 16, "{wrong} and {refused}");
    let right = change(PASSWORD, NEW_PASSWORD);
    doctor.post("/auth/change-password", &right).await.expect(429);
    // One password for all that asks for it again.
    doctor.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(429);
    clinic.anybody().sign_in(DOCTOR, PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_change_it_at_once_one_does() {
    let (_platform, clinic) = TestClinic::new().await;
    let doctor = clinic.anybody().sign_in(DOCTOR, PASSWORD).await;
    let (one, other) = (change(PASSWORD, NEW_PASSWORD), change(PASSWORD, "another harvest lamp"));

    let (a, b) = tokio::join!(
        doctor.post("/auth/change-password", &one),
        doctor.post("/auth/change-password", &other)
    );

    assert!([[204, 409], [204, 422]].contains(&statuses([&a, &b])), "{a:?} {b:?}");
    let patient = clinic.patient().await;
    patient.post("/auth/change-password", &one).await.expect(403);
}
