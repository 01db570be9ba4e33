//! Passwords that were forgotten, and links that are good for one thing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nadi::auth::{Role, links};
use serde_json::json;

use super::{ADMIN, DOCTOR, NEW_PASSWORD, behind_a_proxy, forgot, reset, statuses, token};
use crate::support::{Answer, Caller, PASSWORD, TestClinic, TestPlatform, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_brings_a_link_that_sets_one_password_once() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let asked = forgot(&anybody, "Doctor@Shanti.Example").await.expect(202);
    assert_eq!(asked.body, json!({ "sent_by": "email", "expires_in": 3600 }));
    let first = token(&platform, DOCTOR, "reset-password", 1).await;
    forgot(&anybody, DOCTOR).await.expect(202);
    let second = token(&platform, DOCTOR, "reset-password", 2).await;
    assert_ne!(first, second);

    let (a, b) = tokio::join!(reset(&anybody, &second), reset(&anybody, &second));

    assert_eq!(statuses([&a, &b]), [204, 401]);
    doctor.get("/auth/me").await.expect(401);
    let refresh = json!({ "refresh_token": doctor.refresh_token });
    anybody.post("/auth/refresh", &refresh).await.expect(401);
    assert_eq!(reset(&anybody, &first).await.expect(401).problem(), "link-expired");
    anybody.clone().sign_in(DOCTOR, NEW_PASSWORD).await;
    let log = "select count(*) from audit_log where action in ('account.password_reset', 'account.password_reset_asked')";
    assert_eq!(clinic.count(log).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_what_it_was_made_for() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    forgot(&anybody, DOCTOR).await.expect(202);
    doctor.post("/auth/verify-email-request", &json!(null)).await.expect(202);
    let resetting = token(&platform, DOCTOR, "reset-password", 1).await;
    let verifying = token(&platform, DOCTOR, "verify-email", 1).await;
    let mut inside = clinic.connection().await;
    let setting = links::put(&mut inside, clinic.account(Role::Doctor)).await.unwrap();

    for (path, good, bad) in [
        ("/auth/verify-email", &verifying, [&resetting, &setting]),
        ("/auth/set-password", &setting, [&resetting, &verifying]),
        ("/auth/reset-password", &resetting, [&verifying, &setting]),
    ] {
        let body = |token: &str| match path {
            "/auth/verify-email" => json!({ "token": token }),
            _ => json!({ "token": token, "password": NEW_PASSWORD }),
        };
        for bad in bad {
            let refused = anybody.post(path, &body(bad)).await.expect(401);
            assert_eq!(refused.problem(), "link-expired", "{path}");
        }
        if path == "/auth/set-password" {
            anybody.post(path, &body(good)).await.expect(204);
            forgot(&anybody, DOCTOR).await.expect(202); // the one before ended with it
        } else if path == "/auth/reset-password" {
            anybody.post(path, &body(good)).await.expect(401);
            let another = token(&platform, DOCTOR, "reset-password", 2).await;
            anybody.post(path, &body(&another)).await.expect(204);
        } else {
            anybody.post(path, &body(good)).await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_dies_with_its_hour_its_address_and_its_account() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let admin = clinic.admin().await;
    let mut inside = clinic.connection().await;
    for (n, sql) in [
        "update password_links set expires_at = now() where used_at is null",
        "update users set email = 'elsewhere@shanti.example' where email = 'doctor@shanti.example'",
        "update users set email = 'doctor@shanti.example', status = 'suspended' where role = 'doctor'",
    ]
    .into_iter()
    .enumerate()
    {
        forgot(&anybody, DOCTOR).await.expect(202);
        let link = token(&platform, DOCTOR, "reset-password", n + 1).await;
        sqlx::query(sql).execute(&mut inside).await.unwrap();
        assert_eq!(reset(&anybody, &link).await.expect(401).problem(), "link-expired", "{sql}");
        let restore = "update users set email = 'doctor@shanti.example', status = 'active' where role = 'doctor'";
        sqlx::query(restore).execute(&mut inside).await.unwrap();
    }
    admin.get("/auth/me").await.expect(200);
}

fn names(answer: &Answer) -> BTreeSet<String> {
    answer.headers.keys().map(|name| name.as_str().to_owned()).collect()
}

async fn rows(clinic: &TestClinic) -> [i64; 4] {
    [
        clinic.count("select count(*) from password_links").await,
        clinic.count("select count(*) from outbox").await,
        clinic.count("select count(*) from audit_log").await,
        clinic.count("select count(*) from login_failures").await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_get_one_answer_and_leave_the_same_rows() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let before = rows(&clinic).await;

    let known = forgot(&anybody, ADMIN).await.expect(202);
    let between = rows(&clinic).await;
    let unknown = forgot(&anybody, "nobody@shanti.example").await.expect(202);
    let after = rows(&clinic).await;

    assert_eq!((&known.text, names(&known)), (&unknown.text, names(&unknown)));
    let left = |from: [i64; 4], to: [i64; 4]| [0, 1, 2, 3].map(|n| to[n] - from[n]);
    assert_eq!(left(before, between), [1, 1, 1, 2]);
    assert_eq!(left(between, after), [1, 1, 1, 2]);
    // Nobody's letter goes nowhere; a patient, who has no password, gets none.
    forgot(&anybody, "+919847012345").await.expect(202);
    until("all are looked at", async || {
        clinic.count("select count(*) from outbox where done_at is null").await == 0
    })
    .await;
    let sent = platform.inbox.items().await.unwrap();
    assert_eq!(sent.iter().filter(|item| item.body.contains("/reset-password")).count(), 1);
}

async fn took(caller: &Caller, from: usize, identifier: &str) -> Duration {
    let request = caller
        .request(reqwest::Method::POST, "/auth/forgot-password")
        .header("x-forwarded-for", format!("198.51.100.{from}"));
    let began = Instant::now();
    caller.send(request.json(&json!({ "identifier": identifier }))).await.expect(202);
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "compares times: on a quiet machine alone"]
async fn known_and_unknown_take_the_same_time() {
    let platform = behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let anybody = clinic.anybody();
    let staff = ["clinic_admin", "doctor", "receptionist", "therapist", "pharmacist", "accountant"];
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..30 {
        let role = staff[n % staff.len()];
        unknown.push(took(&anybody, n, &format!("{role}{n}@arogya.example")).await);
        known.push(took(&anybody, n, &format!("{role}@shanti.example")).await);
    }
    known.sort();
    unknown.sort();

    let (known, unknown) = (known[15], unknown[15]);

    assert!(known.abs_diff(unknown) < Duration::from_millis(5), "{known:?} and {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_letters_an_hour_known_or_not_also_at_once() {
    let (_platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    for who in [DOCTOR, "nobody@shanti.example"] {
        let asked = (0..12).map(|_| forgot(&anybody, who));

        let answers = futures_util::future::join_all(asked).await;

        let taken = answers.iter().filter(|answer| answer.status == 202).count();
        let refused = answers.iter().filter(|answer| answer.problem() == "rate-limited").count();
        assert_eq!((taken, refused), (5, 7), "{who}");
    }
    forgot(&anybody, ADMIN).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_platform_a_super_admin_passes_the_link_on() {
    let platform = TestPlatform::new().await;
    let (above, owner) =
        (platform.super_admin().await, platform.platform_account(Role::ClinicOwner).await);
    let anybody = platform.anybody("admin.localhost");
    let path = format!("/clinic-admins/{}/password-link", owner.account_id.as_deref().unwrap());
    let asked = forgot(&anybody, "nobody@nadi.example").await.expect(202);
    assert_eq!(asked.body["sent_by"], "administrator");

    let made = above.post(&path, &json!(null)).await.expect(200);

    let link = made.body["reset_password_url"].as_str().unwrap();
    let (page, link) = link.split_once("?token=").unwrap();
    assert!(page.ends_with("/reset-password"), "{page}");
    reset(&anybody, link).await.expect(204);
    owner.get("/auth/me").await.expect(401);
    reset(&anybody, link).await.expect(401);
    let other = platform.platform_account(Role::ClinicOwner).await;
    other.post(&path, &json!(null)).await.expect(403);
    let superior = above.account_id.as_deref().unwrap();
    let path = format!("/clinic-admins/{superior}/password-link");
    above.post(&path, &json!(null)).await.expect(404);
}
