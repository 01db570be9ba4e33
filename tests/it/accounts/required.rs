//! Where a clinic says that a role needs a second factor: at once, and for sessions that are open.

use nadi::auth::Role;
use serde_json::json;

use super::{ADMIN, as_in, enrol, fault, log_in};
use crate::support::{TestClinic, TestPlatform, until};

#[tokio::test(flavor = "multi_thread")]
async fn who_has_to_have_one_may_get_one_and_nothing_else() {
    let (platform, clinic) = TestClinic::new().await;
    let other_instance = platform.another_instance().await;
    let (admin, desk) = (clinic.admin().await, clinic.desk().await);
    let there = admin.at(&other_instance.address, &clinic.host);
    there.get("/users").await.expect(200);
    let before = admin.get("/settings/sign-in").await.expect(200);
    assert_eq!(before.body, json!({ "second_factor_roles": [] }));
    let wanted = json!({ "second_factor_roles": ["clinic_admin"] });
    desk.put("/settings/sign-in", "*", &wanted).await.expect(403);
    for (roles, entry, code) in [
        (json!(["patient"]), "/0", "unknown_value"),
        (json!(["super_admin"]), "", "unknown_value"),
        (json!("doctor"), "", "wrong_type"),
    ] {
        let bad = json!({ "second_factor_roles": roles });
        let refused = admin.put("/settings/sign-in", "*", &bad).await.expect(422);
        assert_eq!(refused.faults(), fault(&format!("/second_factor_roles{entry}"), code));
    }

    let set = admin.put("/settings/sign-in", before.header("etag"), &wanted).await.expect(200);

    assert_eq!(set.body, wanted);
    for caller in [&admin, &as_in(&clinic.anybody(), &log_in(&clinic.anybody(), ADMIN, None).await)]
    {
        for path in
            ["/users", "/users/me", "/patients", "/settings/sign-in", "/users/me/preferences"]
        {
            let refused = caller.get(path).await.expect(403);
            assert_eq!(refused.problem(), "second-factor-required", "{path}");
        }
        caller.get("/auth/me").await.expect(200);
        caller.get("/auth/sessions").await.expect(200);
    }
    until("the other instance has heard", async || there.get("/users").await.status == 403).await;
    desk.get("/users").await.expect(200);
    enrol(&platform.clock, &admin).await;
    admin.get("/users").await.expect(200);
    admin.put("/settings/sign-in", before.header("etag"), &wanted).await.expect(412);
    let give_up = admin.request(reqwest::Method::DELETE, "/auth/totp");
    let password = json!({ "password": crate::support::PASSWORD });
    admin.send(give_up.json(&password)).await.expect(204);
    admin.get("/users").await.expect(403);
    let log = "select count(*) from audit_log where action = 'sign_in_settings.changed'";
    assert_eq!(clinic.count(log).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn super_admins_alike() {
    let platform = TestPlatform::new().await;
    let above = platform.super_admin().await;
    let owner = platform.platform_account(Role::ClinicOwner).await;
    let wanted = json!({ "second_factor_roles": ["super_admin"] });

    above.put("/settings/sign-in", "*", &wanted).await.expect(200);

    let refused = above.get("/clinics").await.expect(403);
    assert_eq!(refused.problem(), "second-factor-required");
    owner.get("/clinics").await.expect(200);
    enrol(&platform.clock, &above).await;
    above.get("/clinics").await.expect(200);
    let roles = json!({ "second_factor_roles": ["doctor"] });
    above.put("/settings/sign-in", "*", &roles).await.expect(422);
}
