//! The handshake: a database says whose it is.

use nadi::tenancy::roles;
use serde_json::json;

use crate::support::{TestClinic, TestPlatform};

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
