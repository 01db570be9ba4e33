//! Addresses that were proved, and stay so until there is another.

use serde_json::{Value, json};

use super::{DOCTOR, token, tokens};
use crate::support::{Caller, PASSWORD, TestClinic, TestPlatform};

async fn verify(platform: &TestPlatform, caller: &Caller, to: &str, count: usize) -> String {
    caller.post("/auth/verify-email-request", &Value::Null).await.expect(202);
    token(platform, to, "verify-email", count).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_proved_by_the_letter_to_it_and_another_is_proved_anew() {
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, admin) = (clinic.anybody(), clinic.admin().await);
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    let path = format!("/users/{}", doctor.account_id.as_deref().unwrap());
    assert_eq!(admin.get(&path).await.body["email_verified_at"], Value::Null);
    let link = verify(&platform, &doctor, DOCTOR, 1).await;

    anybody.post("/auth/verify-email", &json!({ "token": link })).await.expect(204);

    let proved = admin.get(&path).await.expect(200);
    assert!(proved.body["email_verified_at"].as_str().unwrap().ends_with('Z'));
    anybody.post("/auth/verify-email", &json!({ "token": link })).await.expect(401);
    doctor.get("/auth/me").await.expect(200);
    let old = verify(&platform, &doctor, DOCTOR, 2).await;
    let said = |email: &str| json!({ "full_name": "Dr. Anand Varma", "email": email });
    let etag = admin.get(&path).await.header("etag").to_owned();
    let same = admin.put(&path, &etag, &said("DOCTOR@shanti.example")).await.expect(200);
    assert_eq!(
        same.body["email_verified_at"], proved.body["email_verified_at"],
        "the same address"
    );
    let other =
        admin.put(&path, same.header("etag"), &said("anand@varma.example")).await.expect(200);
    assert_eq!(other.body["email_verified_at"], Value::Null);
    let dead = anybody.post("/auth/verify-email", &json!({ "token": old })).await.expect(401);
    assert_eq!(dead.problem(), "link-expired");
    assert_eq!(admin.get(&path).await.body["email_verified_at"], Value::Null);
    let mut forged = said("anand@varma.example");
    forged["email_verified_at"] = proved.body["email_verified_at"].clone();
    let forged = admin.put(&path, other.header("etag"), &forged).await;
    assert_eq!(forged.expect(422).faults(), super::fault("/email_verified_at", "read_only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_letters_an_hour() {
    let (platform, clinic) = TestClinic::new().await;
    let doctor = clinic.anybody().sign_in(DOCTOR, PASSWORD).await;
    let asked = (0..9).map(|_| doctor.post("/auth/verify-email-request", &Value::Null));

    let answers = futures_util::future::join_all(asked).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 5);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 4);
    token(&platform, DOCTOR, "verify-email", 5).await;
    assert_eq!(tokens(&platform, DOCTOR, "verify-email").await.len(), 5);
    // The platform sends no mail, and proves no address.
    let above = platform.super_admin().await;
    above.post("/auth/verify-email-request", &Value::Null).await.expect(404);
}
