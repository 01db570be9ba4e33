//! `nadi doctor`: content with what is good, and exact about what is not.

use super::{registry, with};
use crate::support::{Ran, SmtpServer, nadi};

/// What is said about one thing, if it is bad.
fn complaint(ran: &Ran, check: &str) -> String {
    let report = ran.json();
    assert_eq!(report["healthy"], false);
    let findings = report["findings"].as_array().unwrap();
    let bad = findings.iter().find(|finding| finding["good"] == false && finding["check"] == check);
    bad.unwrap_or_else(|| panic!("nothing bad about {check}: {}", ran.stdout))["says"].to_string()
}

#[tokio::test]
async fn a_good_set_up_is_called_good() {
    let platform = registry().await;
    let mail = SmtpServer::up();
    let settings = with(&platform.settings(), "NADI_SMTP_URL", &mail.setting().1);
    platform.provision("shanti").await;
    nadi(&settings, &["migrate", "central"]).await.expect(0); // shuts the database to PUBLIC, which a clone does not copy

    let ran = nadi(&settings, &["doctor", "--json"]).await.expect(0);

    assert_eq!(ran.json()["healthy"], true);
    for check in [
        "mail server",
        "central schema",
        "PostgreSQL",
        "locale",
        "provisioning role",
        "closed doors",
        "connections",
        "clocks",
        "master key",
        "clinics",
    ] {
        assert!(ran.stdout.contains(&format!("\"check\": \"{check}\"")), "{check}: {}", ran.stdout);
    }
}

#[tokio::test]
async fn each_fault_is_named_with_its_remedy() {
    let platform = registry().await;
    platform.provision("shanti").await;
    let good = platform.settings();

    let doctor =
        async |settings: &[(String, String)]| nadi(settings, &["doctor", "--json"]).await.expect(1);

    let grant = format!("grant connect on database {} to public", platform.database);
    let mut owner = platform.server.superuser("postgres").await;
    nadi::tenancy::roles::execute(&mut owner, grant).await.unwrap();
    let open = complaint(&doctor(&good).await, "closed doors");
    assert!(open.contains(&platform.database) && open.contains("revoke connect"), "{open}");
    let key = with(&good, "NADI_MASTER_KEY", "YW5vdGhlciBtYXN0ZXIga2V5LCBvZiAzMiBieXRlcyE=");
    assert!(complaint(&doctor(&key).await, "master key").contains("shanti"));
    let budget = with(&good, "NADI_CONNECTION_BUDGET", "5000");
    assert!(
        complaint(&doctor(&budget).await, "connections").contains("lower NADI_CONNECTION_BUDGET")
    );
    let down = SmtpServer::down();
    let mail = with(&good, "NADI_SMTP_URL", &down.setting().1);
    assert!(complaint(&doctor(&mail).await, "mail server").contains("check NADI_SMTP_URL"));
    let superuser = platform.server.superuser_url.replacen(
        "/postgres?",
        &format!("/{}?", platform.database),
        1,
    );
    let superuser = with(&good, "NADI_CENTRAL_DATABASE_URL", &superuser);
    assert!(complaint(&doctor(&superuser).await, "provisioning role").contains("superuser"));
}
