//! What is done to an account its owner hears of, and nothing in the letter opens anything.

use nadi::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ADMIN, App, DOCTOR, NEW_PASSWORD, change, forgot, log_in, reset, token};
use crate::support::{Caller, PASSWORD, TestClinic, TestPlatform, until};

/// Somebody's new second factor, and its recovery codes. No clock is set: a letter would be due only when the database's had come
/// as far.
async fn enrol(platform: &TestPlatform, caller: &Caller) -> Vec<String> {
    let begun = caller.post("/auth/totp", &json!({ "password": PASSWORD })).await.expect(200);
    let app = App::with(begun.body["secret"].as_str().unwrap());
    let code = json!({ "code": app.code(&platform.clock, 0) });
    caller.post("/auth/totp/confirm", &code).await.expect(204);
    let codes = begun.body["recovery_codes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// How many letters of that subject went to an address.
async fn told(platform: &TestPlatform, to: &str, subject: &str) -> usize {
    let items = platform.inbox.items().await.unwrap();
    let of = |item: &&nadi::messaging::inbox::Item| item.to == to && item.subject.contains(subject);
    items.iter().filter(of).count()
}

async fn hears(platform: &TestPlatform, to: &str, subject: &str, count: usize) {
    let what = format!("{to} hears of it: {subject}");
    until(&what, async || told(platform, to, subject).await >= count).await;
    assert_eq!(told(platform, to, subject).await, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_password_or_a_factor_cannot_keep_it_quiet() {
    let (platform, clinic) = TestClinic::new().await;
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let codes = enrol(&platform, &doctor).await;
    hears(&platform, DOCTOR, "A second factor was added", 1).await;
    let renewed =
        doctor.post("/auth/totp/recovery-codes", &json!({ "code": codes[1] })).await.expect(200);
    hears(&platform, DOCTOR, "New recovery codes", 1).await;
    let renewed = renewed.body["recovery_codes"].clone();
    assert_eq!(renewed.as_array().unwrap().len(), 10);
    log_in(&anybody, DOCTOR, Some(&codes[0])).await.expect(401);
    log_in(&anybody, DOCTOR, renewed[0].as_str()).await.expect(200);

    let give_up = doctor.request(Method::DELETE, "/auth/totp");
    doctor.send(give_up.json(&json!({ "password": PASSWORD }))).await.expect(204);
    doctor.post("/auth/change-password", &change(PASSWORD, NEW_PASSWORD)).await.expect(204);

    hears(&platform, DOCTOR, "Your second factor was removed", 1).await;
    hears(&platform, DOCTOR, "Your password was changed", 1).await;
    forgot(&anybody, DOCTOR).await.expect(202);
    let link = token(&platform, DOCTOR, "reset-password", 1).await;
    reset(&anybody, &link).await.expect(204);
    hears(&platform, DOCTOR, "Your password was changed", 2).await;
    let items = platform.inbox.items().await.unwrap();
    for item in items.iter().filter(|item| item.subject.contains("changed")) {
        assert!(item.body.contains("Asia/Kolkata") && !item.body.contains("http"), "{}", item.body);
        assert!(!item.body.contains(NEW_PASSWORD) && !item.body.contains(&codes[0]));
    }
    let refused = change("not the password", "another harvest lamp");
    doctor.post("/auth/change-password", &refused).await.expect(401);
    let open =
        "select count(*) from outbox where payload_cipher is not null and done_at is not null";
    assert_eq!(clinic.count(open).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_changed_hears_of_it_with_the_new_one() {
    let (platform, clinic) = TestClinic::new().await;
    let admin = clinic.admin().await;
    let path = format!("/users/{}", clinic.account(Role::Doctor));
    let before = admin.get(&path).await.expect(200);
    let mut after: Value = before.body.clone();
    after["full_name"] = json!("Dr. Anand Varma");
    let named = admin.put(&path, before.header("etag"), &after).await.expect(200);
    after = named.body.clone();
    after["email"] = json!("anand@shanti.example");
    after.as_object_mut().unwrap().remove("email_verified_at");

    admin.put(&path, named.header("etag"), &after).await.expect(200);

    for to in [DOCTOR, "anand@shanti.example"] {
        hears(&platform, to, "The e-mail address of your account was changed", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_takes_a_lost_factor_away_and_its_owner_hears_of_it() {
    let (platform, clinic) = TestClinic::new().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let anybody = clinic.anybody();
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let path = format!("/users/{}/totp", clinic.account(Role::Doctor));
    let take = async |caller: &Caller, path: &str, body: Value| {
        caller.send(caller.request(Method::DELETE, path).json(&body)).await
    };
    let proof = json!({ "password": PASSWORD });
    take(&admin, &path, proof.clone()).await.expect(404); // there is none
    enrol(&platform, &doctor).await;
    log_in(&anybody, DOCTOR, None).await.expect(401);

    take(&desk, &path, proof.clone()).await.expect(403);
    let nothing = take(&admin, &path, json!({})).await.expect(422);
    assert_eq!(nothing.faults(), super::fault("/password", "required"));
    let wrong = take(&admin, &path, json!({ "password": "not the password" })).await.expect(422);
    assert_eq!(wrong.faults(), super::fault("/password", "wrong_password"));
    // The admin has no factor, so no code proves anything.
    let wrong = take(&admin, &path, json!({ "code": "000000" })).await.expect(422);
    assert_eq!(wrong.faults(), super::fault("/code", "wrong_code"));
    doctor.get("/auth/me").await.expect(200);
    take(&admin, &path, proof.clone()).await.expect(204);

    doctor.get("/auth/me").await.expect(401);
    log_in(&anybody, DOCTOR, None).await.expect(200);
    hears(&platform, DOCTOR, "Your second factor was removed", 1).await;
    let log = "select count(*) from audit_log where action = 'account.second_factor_removed'
               and account_id in (select id from users where role = 'clinic_admin')";
    assert_eq!(clinic.count(log).await, 1);
    take(&admin, &path, proof.clone()).await.expect(404);
    let own = format!("/users/{}/totp", clinic.account(Role::ClinicAdmin));
    enrol(&platform, &admin).await;
    take(&admin, &own, proof).await.expect(409);
    hears(&platform, ADMIN, "A second factor was added", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn super_admins_take_lost_factors_away_from_each_other_and_from_owners() {
    let platform = TestPlatform::new().await;
    let (one, other) = (platform.super_admin().await, platform.super_admin().await);
    let owner = platform.platform_account(Role::ClinicOwner).await;
    let proof = json!({ "password": PASSWORD });
    let take = async |path: &str| one.send(one.request(Method::DELETE, path).json(&proof)).await;
    let id = |caller: &Caller| caller.account_id.clone().unwrap();
    for caller in [&one, &other, &owner] {
        enrol(&platform, caller).await;
    }

    take(&format!("/clinic-admins/{}/totp", id(&other))).await.expect(404);
    take(&format!("/super-admins/{}/totp", id(&owner))).await.expect(404);
    take(&format!("/super-admins/{}/totp", id(&one))).await.expect(409);
    take(&format!("/super-admins/{}/totp", id(&other))).await.expect(204);
    take(&format!("/clinic-admins/{}/totp", id(&owner))).await.expect(204);

    other.get("/auth/me").await.expect(401);
    owner.get("/auth/me").await.expect(401);
    let listed = one.get("/super-admins").await.expect(200);
    let with: Vec<_> = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["second_factor"] == true)
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(with, [id(&one)]);
}
