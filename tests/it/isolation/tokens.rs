//! The token: it is signed with its clinic's own key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nadi::auth::Role;
use nadi::crypto;
use serde_json::{Value, json};

use super::keys;
use crate::support::{TestClinic, TestPlatform};

/// A token by hand.
fn token(header: Value, claims: Value, key: Option<&[u8; 32]>) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", part(header), part(claims));
    let signature = key.map(|key| URL_SAFE_NO_PAD.encode(crypto::mac(key, said.as_bytes())));
    format!("{said}.{}", signature.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_at_one_clinic_whole_and_in_time() {
    let platform = TestPlatform::new().await;
    let (shanti, arogya) = (platform.clinic("shanti").await, platform.clinic("arogya").await);
    let (admin, stranger) = (shanti.admin().await, arogya.admin().await);
    let owner = platform.super_admin().await;
    let row = platform.core.central.clinic_row("shanti").await.unwrap().unwrap();
    let keys = keys(&platform, &shanti, &row.root_key_wrapped);
    let parts: Vec<&str> = admin.token.as_deref().unwrap().split('.').collect();
    let good: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let with = |change: &[(&str, Value)]| {
        let mut claims = good.clone();
        for (name, value) in change {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
                value => claims[*name] = value.clone(),
            }
        }
        claims
    };
    let now = platform.clock.now().timestamp();
    let mut by_hand = shanti.anybody();
    by_hand.token = Some(token(hs256.clone(), good.clone(), Some(&keys.tokens)));
    by_hand.get("/auth/me").await.expect(200);

    let mut bad = vec![
        ("alg none", token(json!({ "alg": "none" }), good.clone(), None)),
        ("alg none, signed", token(json!({ "alg": "none" }), good.clone(), Some(&keys.tokens))),
        ("another alg", token(json!({ "alg": "HS512" }), good.clone(), Some(&keys.tokens))),
        ("no signature", token(hs256.clone(), good.clone(), None)),
        ("another clinic's key", token(hs256.clone(), good.clone(), Some(&[7; 32]))),
        ("the refresh key", token(hs256.clone(), good.clone(), Some(&keys.refresh))),
        ("an empty token", String::new()),
        ("no token at all", "nonsense".into()),
        (
            "a changed claim",
            format!(
                "{}.{}.{}",
                parts[0],
                URL_SAFE_NO_PAD.encode(with(&[("exp", json!(now + 9999))]).to_string()),
                parts[2]
            ),
        ),
    ];
    for claim in ["exp", "nbf", "iss", "aud", "sub", "sid", "purpose"] {
        bad.push((claim, token(hs256.clone(), with(&[(claim, Value::Null)]), Some(&keys.tokens))));
    }
    for (what, claim, value) in [
        ("expired", "exp", json!(now - 6)),
        ("not yet", "nbf", json!(now + 60)),
        ("another issuer", "iss", json!("somebody")),
        ("another audience", "aud", json!(arogya.id)),
        ("several audiences", "aud", json!([arogya.id])),
        ("another purpose", "purpose", json!("set-password")),
        ("another account", "sub", json!(shanti.account(Role::Doctor))),
        ("no such session", "sid", json!(nadi::ids::new_uuid())),
    ] {
        bad.push((what, token(hs256.clone(), with(&[(claim, value)]), Some(&keys.tokens))));
    }
    for (what, token) in bad {
        by_hand.token = Some(token);
        let answer = by_hand.get("/auth/me").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        assert_eq!(answer.problem(), "unauthenticated", "{what}");
    }

    for (who, host) in [
        (&stranger, "shanti.localhost"),
        (&admin, "arogya.localhost"),
        (&admin, "admin.localhost"),
        (&owner, "shanti.localhost"),
    ] {
        who.at(&platform.address, host).get("/auth/me").await.expect(401);
    }
    for host in ["shanti.localhost", "admin.localhost"] {
        let given = json!({ "refresh_token": stranger.refresh_token });
        platform.anybody(host).post("/auth/refresh", &given).await.expect(401);
    }
    stranger.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_ends_after_fifteen_minutes() {
    let (platform, clinic) = TestClinic::new().await;
    let desk = clinic.desk().await;

    platform.clock.advance(chrono::TimeDelta::minutes(14));
    desk.get("/auth/me").await.expect(200);
    platform.clock.advance(chrono::TimeDelta::minutes(2));

    desk.get("/auth/me").await.expect(401);
}
