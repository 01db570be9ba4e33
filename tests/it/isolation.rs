//! A request touches only the database of the clinic that its Host names: each of the four locks by itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nadi::auth::Role;
use nadi::crypto::{self, ClinicKeys};
use nadi::tenancy::roles;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Options, TestClinic, TestPlatform};

/// Sends bytes as they are, and reads the answer to its end: status and body.
async fn raw(address: &str, bytes: impl AsRef<[u8]>) -> (u16, String) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no HTTP: {answer}")), answer)
}

/// The front page of a clinic names it: whose it is shows whom a request reached.
fn front(head: &str) -> String {
    format!("GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_leads_to_its_own_clinic_or_nowhere() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    for head in [
        "Host: shanti.localhost\r\n",
        "Host: SHANTI.LocalHost\r\n",
        "Host: shanti.localhost:8088\r\n",
        "Host: shanti.localhost.\r\n",
        "hOsT: shanti.localhost.:1\r\n",
        "Host: shanti.localhost\r\nX-Forwarded-Host: arogya.localhost\r\n",
        "Host: shanti.localhost\r\nX-Original-Host: arogya.localhost\r\nForwarded: host=arogya.localhost\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 200, "{head} {answer}");
        assert!(answer.contains("shanti clinic") && !answer.contains("arogya"), "{head} {answer}");
    }

    for head in [
        "",
        "Host: \r\n",
        "Host: 127.0.0.1\r\n",
        "Host: 127.0.0.1:8088\r\n",
        "Host: [::1]:8088\r\n",
        "Host: 2130706433\r\n",
        "Host: shanti.localhost\r\nHost: arogya.localhost\r\n",
        "Host: shanti.localhost\r\nHost: shanti.localhost\r\n",
        "Host: shanti.localhost, arogya.localhost\r\n",
        "Host: shanti.localhost@arogya.localhost\r\n",
        "Host: shanti.localhost/arogya\r\n",
        "Host: shanti.localhost:80:80\r\n",
        "Host: shanti.localhost:port\r\n",
        "Host: shanti..localhost\r\n",
        "Host: shanti\u{ff0e}localhost\r\n",
        "Host: shanti\u{3002}localhost\r\n",
        "Host: shanti%2elocalhost\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 400, "{head} {answer}");
        assert!(!answer.contains("clinic</h1>"), "{head} {answer}");
    }

    for head in [
        "Host: xn--shnti-hra.localhost\r\n",
        "Host: shanti.localhost.evil.example\r\n",
        "Host: shantilocalhost\r\n",
        "Host: arogya.shanti.localhost\r\n",
        "Host: nobody.localhost\r\n",
        "Host: shanti\r\n",
    ] {
        let (status, answer) = raw(at, front(head)).await;
        assert_eq!(status, 404, "{head} {answer}");
        assert!(answer.contains("unknown-clinic"), "{head} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_names_a_host_must_agree() {
    let platform = TestPlatform::new().await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    let agreeing = "GET http://shanti.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(at, agreeing).await.0, 200);
    for request in [
        "GET http://arogya.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let (status, answer) = raw(at, request).await;
        assert_eq!(status, 400, "{request} {answer}");
        assert!(answer.contains("bad-host"), "{request} {answer}");
    }
    // HTTP/1.0 with a Host is as good as any.
    let (status, answer) = raw(at, "GET / HTTP/1.0\r\nHost: shanti.localhost\r\n\r\n").await;
    assert_eq!(status, 200, "{answer}");
    // Health is for whoever asks, by whatever name.
    for request in [
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "GET /health/ready HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n",
    ] {
        assert_eq!(raw(at, request).await.0, 200, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_host_counts_from_a_trusted_proxy_alone() {
    let settings = vec![("NADI_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let platform = TestPlatform::with(Options { settings, ..Options::default() }).await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let at = &platform.address;

    for (head, status, whose) in [
        ("Host: 10.0.0.7:8088\r\nX-Forwarded-Host: shanti.localhost\r\n", 200, "shanti clinic"),
        (
            "Host: arogya.localhost\r\nX-Forwarded-Host: SHANTI.localhost:443\r\n",
            200,
            "shanti clinic",
        ),
        ("Host: shanti.localhost\r\n", 200, "shanti clinic"),
        (
            "Host: shanti.localhost\r\nX-Forwarded-Host: shanti.localhost, arogya.localhost\r\n",
            400,
            "bad-host",
        ),
        (
            "Host: shanti.localhost\r\nX-Forwarded-Host: shanti.localhost\r\nX-Forwarded-Host: arogya.localhost\r\n",
            400,
            "bad-host",
        ),
        ("Host: shanti.localhost\r\nX-Forwarded-Host: \r\n", 400, "bad-host"),
        ("Host: shanti.localhost\r\nHost: arogya.localhost\r\n", 400, "bad-host"),
    ] {
        let (answered, answer) = raw(at, front(head)).await;
        assert_eq!(answered, status, "{head} {answer}");
        assert!(answer.contains(whose), "{head} {answer}");
    }
    let disagreeing = "GET http://arogya.localhost/ HTTP/1.1\r\nHost: shanti.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(at, disagreeing).await.0, 400);
}

fn alarms() -> u64 {
    nadi::metrics::ALARMS.with_label_values(&["wrong_database"]).get()
}

/// As if the registry had two clinics crossed: each one's name, role and password now open the other's rows.
async fn cross(platform: &TestPlatform, one: &TestClinic, other: &TestClinic) {
    let (one, other) = (roles::database_name(one.id), roles::database_name(other.id));
    let aside = format!("{one}_aside");
    let mut superuser = platform.server.superuser("postgres").await;
    for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
        for statement in [
            format!("alter database {from} with allow_connections false"),
            format!(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{from}'"
            ),
            format!("alter database {from} rename to {to}"),
            format!("alter database {to} with allow_connections true"),
        ] {
            roles::execute(&mut superuser, statement).await.unwrap();
        }
    }
    for name in [&one, &other] {
        let grant = format!("grant connect on database {name} to {name}");
        roles::execute(&mut superuser, grant).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placement_that_leads_to_another_clinics_database_is_refused_and_alarmed() {
    let platform = TestPlatform::new().await;
    let (shanti, arogya) = (platform.clinic("shanti").await, platform.clinic("arogya").await);
    let bystander = platform.clinic("kerala").await;
    let admin = bystander.admin().await;
    let patient = shanti.patient().await;
    cross(&platform, &shanti, &arogya).await;
    let before = alarms();

    let answer = patient.get("/auth/me").await.expect(503);

    assert_eq!(answer.problem(), "clinic-unavailable");
    assert!(!answer.header("retry-after").is_empty());
    assert!(alarms() > before);
    let signing_in =
        json!({ "identifier": "doctor@arogya.example", "password": "lamp-oil-and-tulasi" });
    shanti.anybody().post("/auth/login", &signing_in).await.expect(503);
    arogya.anybody().post("/auth/login", &signing_in).await.expect(503);
    admin.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_an_identity_is_refused() {
    let platform = TestPlatform::new().await;
    let id = platform.provision("shanti").await;
    let mut inside = platform.server.superuser(&roles::database_name(id)).await;
    sqlx::query("update clinic_identity set clinic_id = null").execute(&mut inside).await.unwrap();

    let login = json!({ "identifier": "x@y.example", "password": "whatever it is" });
    let answer = platform.anybody("shanti.localhost").post("/auth/login", &login).await.expect(503);

    assert_eq!(answer.problem(), "clinic-unavailable");
}

fn keys(platform: &TestPlatform, clinic: &TestClinic, wrapped: &[u8]) -> ClinicKeys {
    ClinicKeys::derive(&platform.core.central.master.unwrap(clinic.id.0, wrapped).unwrap())
}

async fn as_the_clinic(
    platform: &TestPlatform,
    clinic: &TestClinic,
    database: &str,
) -> sqlx::Result<PgConnection> {
    let row = platform.core.central.clinic_row(&clinic.slug).await.unwrap().unwrap();
    let password = keys(platform, clinic, &row.root_key_wrapped).database_password();
    let role = roles::database_name(clinic.id);
    platform.server.provisioning(database).username(&role).password(&password).connect().await
}

fn sqlstate(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinics_role_enters_its_own_database_and_no_other() {
    let platform = TestPlatform::new().await;
    let (shanti, arogya) = (platform.clinic("shanti").await, platform.clinic("arogya").await);
    let template = platform.core.provisioner.template().await.unwrap();
    let others = [
        roles::database_name(arogya.id),
        platform.database.clone(),
        "postgres".into(),
        "template1".into(),
        template,
    ];

    as_the_clinic(&platform, &shanti, &roles::database_name(shanti.id)).await.unwrap();

    for other in others {
        let refused = as_the_clinic(&platform, &shanti, &other).await.err();
        let refused = refused.unwrap_or_else(|| panic!("a clinic's role entered {other}"));
        // 42501: no CONNECT privilege; 55000: nobody may connect.
        assert!(["42501", "55000"].contains(&sqlstate(&refused).as_str()), "{other}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinics_role_may_touch_rows_and_nothing_else() {
    let platform = TestPlatform::new().await;
    let clinic = platform.clinic("shanti").await;
    clinic.desk().await;
    let own = roles::database_name(clinic.id);
    let mut role = as_the_clinic(&platform, &clinic, &own).await.unwrap();
    sqlx::query("select count(*) from patients").execute(&mut role).await.unwrap();

    for forbidden in [
        "create table loot (x int)",
        "create temporary table loot (x int)",
        "create schema loot",
        "create extension dblink",
        "create function loot() returns int language sql as 'select 1'",
        "create role loot",
        "create database loot",
        "alter table patients add column loot text",
        "alter table patients disable trigger all",
        "drop table patients",
        "truncate patients",
        "update clinic_identity set min_binary_level = 0",
        "delete from clinic_identity",
        "update audit_log set action = 'nothing'",
        "delete from audit_log",
        "truncate audit_log",
        "select pg_read_file('/etc/passwd')",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user",
        "copy patients to program 'cat'",
        "select rolpassword from pg_authid",
    ] {
        let outcome = sqlx::query(forbidden).execute(&mut role).await;
        let Err(refused) = outcome else { panic!("a clinic's role may: {forbidden}") };
        assert!(
            ["42501", "22023"].contains(&sqlstate(&refused).as_str()),
            "{forbidden}: {refused}"
        );
    }
    let owner = platform.server.provisioning("postgres").get_username().to_owned();
    for forbidden in
        [format!("alter database {own} set statement_timeout = 0"), format!("set role {owner}")]
    {
        let refused = roles::execute(&mut role, forbidden).await.unwrap_err();
        assert_eq!(sqlstate(&refused), "42501", "{refused}");
    }
    assert!(clinic.count("select count(*) from audit_log").await > 0);
}

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
