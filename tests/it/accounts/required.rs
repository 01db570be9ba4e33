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
    assert_eq!(before.body["second_factor_roles"], json!([]));
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

    assert_eq!(set.body["second_factor_roles"], wanted["second_factor_roles"]);
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

    let set = above.put("/settings/sign-in", "*", &wanted).await.expect(200);
    assert_eq!(set.body, wanted, "the platform has no one-time codes");

    let refused = above.get("/clinics").await.expect(403);
    assert_eq!(refused.problem(), "second-factor-required");
    owner.get("/clinics").await.expect(200);
    enrol(&platform.clock, &above).await;
    above.get("/clinics").await.expect(200);
    let roles = json!({ "second_factor_roles": ["doctor"] });
    above.put("/settings/sign-in", "*", &roles).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinic_says_how_far_its_codes_go() {
    let platform = super::behind_a_proxy().await;
    let clinic = platform.clinic("shanti").await;
    let other_instance = platform.another_instance().await;
    let admin = clinic.admin().await;
    let before = admin.get("/settings/sign-in").await.expect(200);
    let defaults = json!({
        "second_factor_roles": [], "sms_daily_budget": 2000, "sms_countries": [], "trusted_networks": [],
    });
    assert_eq!(before.body, defaults);
    for (field, value, pointer, code) in [
        ("sms_daily_budget", json!(-1), "/sms_daily_budget", "out_of_range"),
        ("sms_daily_budget", json!("many"), "/sms_daily_budget", "wrong_type"),
        ("sms_countries", json!(["IN", "Kerala"]), "/sms_countries/1", "too_long"),
        ("sms_countries", json!(["XX"]), "/sms_countries/0", "unknown_value"),
        ("trusted_networks", json!(["10.0.0.0/33"]), "/trusted_networks/0", "invalid_format"),
        ("trusted_networks", json!(["0.0.0.0/0"]), "/trusted_networks/0", "too_wide"),
        ("trusted_networks", json!(["2001:db8::/32"]), "/trusted_networks/0", "too_wide"),
    ] {
        let refused = admin.put("/settings/sign-in", "*", &json!({ field: value })).await;
        assert_eq!(refused.expect(422).faults(), fault(pointer, code));
    }

    let wanted = json!({
        "sms_daily_budget": 5, "sms_countries": ["NP", "IN", "IN"],
        "trusted_networks": ["198.51.100.77/24", "2001:db8:1::/48"],
    });
    let set = admin.put("/settings/sign-in", before.header("etag"), &wanted).await.expect(200);

    let kept = json!({
        "second_factor_roles": [], "sms_daily_budget": 5, "sms_countries": ["IN", "NP"],
        "trusted_networks": ["198.51.100.0/24", "2001:db8:1::/48"],
    });
    assert_eq!(set.body, kept);
    // Ten unknown numbers from one address are enough, and from the clinic's own they are not: on another instance, too.
    let there = clinic.anybody().at(&other_instance.address, &clinic.host);
    let ask = async |from: &str, number: usize| {
        let body = json!({ "identifier": format!("+9199999{number:05}") });
        let request = there.request(reqwest::Method::POST, "/auth/otp/request");
        there.send(request.header("x-forwarded-for", from).json(&body)).await
    };
    for number in 0..10 {
        ask("203.0.113.9", number).await.expect(202);
        ask("198.51.100.9", 100 + number).await.expect(202);
    }
    ask("203.0.113.9", 10).await.expect(429);
    ask("198.51.100.9", 110).await.expect(202);
    admin.put("/settings/sign-in", before.header("etag"), &wanted).await.expect(412);
    let reset = admin.put("/settings/sign-in", set.header("etag"), &json!({})).await.expect(200);
    assert_eq!(reset.body, defaults);
    let log = "select count(*) from audit_log where action = 'sign_in_settings.changed'
               and details -> 'codes' -> 'to' ? 'sms_countries'";
    assert_eq!(clinic.count(log).await, 2);
    let above = platform.super_admin().await;
    let refused = above.put("/settings/sign-in", "*", &json!({ "sms_daily_budget": 5 })).await;
    assert_eq!(refused.expect(422).faults(), fault("/sms_daily_budget", "unknown_field"));
}
