//! Settings that stop the start, and the places that they may come from.

use super::{registry, with};
use crate::support::nadi;

#[tokio::test]
async fn a_bad_setting_stops_every_command_with_its_name() {
    let platform = registry().await;
    for (name, value, expected) in [
        ("NADI_BASE_DOMAINS", "x.example", "did you mean NADI_BASE_DOMAIN?"),
        ("NADI_FROBNICATE", "1", "is no setting of nadi"),
        ("NADI_BIND", "8088", "an address and port"),
        ("NADI_BASE_DOMAIN", "no domain", "a domain"),
        ("NADI_PUBLIC_SCHEME", "gopher", "http or https"),
        ("NADI_PUBLIC_PORT", "70000", "a port"),
        ("NADI_TRUSTED_PROXIES", "10.0.0.0/8, everybody", "an address or network"),
        (
            "NADI_CENTRAL_DATABASE_URL",
            "mysql://root@localhost/x",
            "a URL that begins with postgres://",
        ),
        ("NADI_CENTRAL_DATABASE_URL", "postgresql://localhost:many/x", "a PostgreSQL URI"),
        ("NADI_MASTER_KEY", "dG9vIHNob3J0", "32 bytes in base64"),
        ("NADI_CONNECTION_BUDGET", "5", "6 to 10000"),
        ("NADI_SMTP_URL", "mail.example:25", "a URL that begins with smtp://"),
        ("NADI_METRICS_BIND", "localhost", "an address and port"),
        ("NADI_LOG", "nadi=loud", "a level"),
        ("NADI_LOG_FORMAT", "xml", "text or json"),
        ("NADI_MASTER_KEY_FILE", "/nowhere/at/all", "cannot read"),
        ("NADI_CONFIG", "/nowhere/at/all", "cannot read"),
    ] {
        let settings = with(&platform.settings(), name, value);
        for command in [&["serve"][..], &["clinic", "list"], &["doctor"]] {
            let ran = nadi(&settings, command).await.expect(2);
            assert!(ran.stderr.contains(name) && ran.stderr.contains(expected), "{}", ran.stderr);
            assert!(!ran.stderr.contains("dG9vIHNob3J0"), "a secret is never repeated");
        }
    }
}

#[tokio::test]
async fn a_mail_server_in_the_clear_stops_the_server() {
    let platform = registry().await;
    let settings = with(&platform.settings(), "NADI_SMTP_URL", "smtp://u:hush@mail.example");

    let ran = nadi(&settings, &["serve"]).await.expect(2);

    assert!(ran.stderr.contains("NADI_SMTP_URL: expected smtps://"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hush"));
}

#[tokio::test]
async fn what_is_required_is_asked_for_by_name() {
    let platform = registry().await;
    for name in ["NADI_CENTRAL_DATABASE_URL", "NADI_MASTER_KEY"] {
        let mut settings = platform.settings();
        settings.retain(|(known, _)| known != name);

        let ran = nadi(&settings, &["serve"]).await.expect(2);

        assert!(ran.stderr.contains(&format!("{name} is required")), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn settings_come_from_a_file_and_secrets_from_files_of_their_own() {
    let platform = registry().await;
    let secrets = platform.settings();
    let get = |name: &str| secrets.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = write("key", format!("{}\n", get("NADI_MASTER_KEY")));
    let url = write("url", format!("{}\n", get("NADI_CENTRAL_DATABASE_URL")));
    let file = write(
        "nadi.toml",
        format!(
            "bind = \"127.0.0.1:0\"\nconnection_budget = 7\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
             master_key_file = \"{key}\"\nlog_format = \"xml\"\n"
        ),
    );
    let from_files = [
        ("NADI_CONFIG".to_owned(), file.clone()),
        ("NADI_CENTRAL_DATABASE_URL_FILE".to_owned(), url),
    ];

    let bad = nadi(&from_files, &["clinic", "list"]).await.expect(2);
    let good = with(&from_files, "NADI_LOG_FORMAT", "json"); // the environment wins
    let status = nadi(&good, &["migrate", "status", "--json"]).await.expect(0).json();
    let doctor = nadi(&good, &["doctor", "--json"]).await;

    assert!(bad.stderr.contains("NADI_LOG_FORMAT"), "{}", bad.stderr);
    assert_eq!(status["central"]["pending"], serde_json::json!([]));
    assert!(
        doctor.stdout.contains("1 instances × 7 = 7"),
        "the budget of the file: {}",
        doctor.stdout
    );
    std::fs::write(&file, "bindd = 1\n").unwrap();
    let unknown = nadi(&good, &["clinic", "list"]).await.expect(2);
    assert!(unknown.stderr.contains("NADI_BINDD"), "{}", unknown.stderr);
    std::fs::write(&file, "bind = \n").unwrap();
    let broken = nadi(&good, &["clinic", "list"]).await.expect(2);
    assert!(broken.stderr.contains("NADI_CONFIG: expected TOML"), "{}", broken.stderr);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_named_and_its_password_is_not() {
    let platform = registry().await;
    let nowhere = "postgresql://somebody:s3cret-word@127.0.0.1:1/nowhere";
    let settings = with(&platform.settings(), "NADI_CENTRAL_DATABASE_URL", nowhere);
    for command in [&["serve"][..], &["clinic", "list"], &["migrate", "central"], &["doctor"]] {
        let ran = nadi(&settings, command).await.expect(1);

        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("central database"), "{command:?}: {said}");
        assert!(!said.contains("s3cret-word"), "{command:?}: {said}");
    }
}
