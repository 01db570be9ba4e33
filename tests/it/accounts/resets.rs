//! Passwords that were forgotten, and links that are good for one thing.

use std::collections::BTreeSet;

use nadi::auth::{Role, links};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{ADMIN, DOCTOR, NEW_PASSWORD, change, forgot, reset, statuses, token, tokens};
use crate::support::{Answer, PASSWORD, TestClinic, TestPlatform, until};

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
        clinic
            .count("select count(*) from audit_log where action <> 'account.password_reset_sent'")
            .await,
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

/// From now on nothing becomes of letters: whoever claims one finds that it did not change.
const HOLD: [&str; 2] = [
    "create function held() returns trigger language plpgsql as 'begin return null; end'",
    "create trigger held before update on outbox for each row execute function held()",
];

async fn run(inside: &mut PgConnection, statements: &[&'static str]) {
    for sql in statements {
        sqlx::query(*sql).execute(&mut *inside).await.unwrap();
    }
}

/// The newest row of a table: what it says, and of what is another in each row, whether it says something.
async fn newest(inside: &mut PgConnection, table: &str, order: &str) -> Value {
    let sql = format!("select to_jsonb(t) from {table} t order by {order} desc limit 1");
    let mut row: Value =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(inside).await.unwrap();
    for (name, value) in row.as_object_mut().unwrap() {
        let is_own = ["id", "xid", "at", "token_sha256", "subject_id", "dedupe_key", "request_id"];
        if is_own.contains(&name.as_str()) || name.ends_with("_at") || name.ends_with("_cipher") {
            *value = json!(value.as_str().map(str::len).filter(|_| name.ends_with("_cipher")));
        }
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn until_it_is_sent_a_letter_to_somebody_is_like_one_to_nobody() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let mut inside = clinic.connection().await;
    run(&mut inside, &HOLD).await;
    let mut left = Vec::new();

    for who in [DOCTOR, "nobody@shanti.example"] {
        forgot(&anybody, who).await.expect(202);
        left.push([
            newest(&mut inside, "password_links", "purpose = 'reset_password' desc, expires_at")
                .await,
            newest(&mut inside, "outbox", "id").await,
            newest(&mut inside, "audit_log", "id").await,
            newest(&mut inside, "login_failures", "id").await,
        ]);
    }

    let [known, unknown] = left.try_into().unwrap();
    // A letter more in the identifier is one more in what is sealed.
    let sealed = |row: &Value| row["payload_cipher"].as_i64().unwrap();
    let longer = 2 * ("nobody@shanti.example".len() as i64 - DOCTOR.len() as i64);
    assert_eq!(sealed(&unknown[1]) - sealed(&known[1]), longer);
    let rest = |mut rows: [Value; 4]| {
        rows[1]["payload_cipher"] = Value::Null;
        rows[3]["subject_sha256"] = Value::Null;
        rows
    };
    assert_eq!(rest(known), rest(unknown));
    run(&mut inside, &["drop trigger held on outbox"]).await;
    token(&platform, DOCTOR, "reset-password", 1).await;
    let sent = "select count(*) from audit_log l join users u on u.id = l.entity_id
                where l.action = 'account.password_reset_sent' and u.email = 'doctor@shanti.example'";
    assert_eq!(clinic.count(sent).await, 1);
}

/// Waits until something became of all letters; gives how many with a link to that page came to these addresses.
async fn letters(
    platform: &TestPlatform,
    clinic: &TestClinic,
    page: &str,
    to: &[&str],
) -> Vec<usize> {
    until("all are looked at", async || {
        clinic.count("select count(*) from outbox where done_at is null").await == 0
    })
    .await;
    let mut came = Vec::new();
    for to in to {
        came.push(tokens(platform, to, page).await.len());
    }
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_waits_does_not_outlive_the_password_that_was_forgotten() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let mut inside = clinic.connection().await;
    run(&mut inside, &HOLD).await;
    forgot(&anybody, DOCTOR).await.expect(202);

    doctor.post("/auth/change-password", &change(PASSWORD, NEW_PASSWORD)).await.expect(204);

    run(&mut inside, &["drop trigger held on outbox"]).await;
    assert_eq!(letters(&platform, &clinic, "reset-password", &[DOCTOR]).await, [0]);
    forgot(&anybody, DOCTOR).await.expect(202);
    let link = token(&platform, DOCTOR, "reset-password", 1).await;
    reset(&anybody, &link).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_waits_follows_nobody_to_another_address() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, admin) = (clinic.anybody(), clinic.admin().await);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let path = format!("/users/{}", clinic.account(Role::Doctor));
    let (phone, elsewhere) = ("+919847022222", "elsewhere@shanti.example");
    let said = |email: &str| json!({ "full_name": "Doctor", "email": email, "phone": phone });
    admin.put(&path, "*", &said(DOCTOR)).await.expect(200);
    forgot(&anybody, phone).await.expect(202);
    token(&platform, DOCTOR, "reset-password", 1).await; // by another name it comes to the same address
    let mut inside = clinic.connection().await;
    run(&mut inside, &HOLD).await;
    forgot(&anybody, phone).await.expect(202);
    doctor.post("/auth/verify-email-request", &json!(null)).await.expect(202);

    admin.put(&path, "*", &said(elsewhere)).await.expect(200);

    run(&mut inside, &["drop trigger held on outbox"]).await;
    let to = [DOCTOR, elsewhere];
    assert_eq!(letters(&platform, &clinic, "reset-password", &to).await, [1, 0]);
    assert_eq!(letters(&platform, &clinic, "verify-email", &to).await, [0, 0]);
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
        // The lookup takes this for the same, so it counts as the same.
        forgot(&anybody, &who.replace("shanti", "shantİ")).await.expect(429);
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
