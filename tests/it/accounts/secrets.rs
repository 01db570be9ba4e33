//! What lets somebody in is read by whom it is for, and by nobody else: not in tables, not in logs.

use super::{App, DOCTOR, NEW_PASSWORD, change, enrol, forgot, log_in, next_step, token};
use crate::one_time_codes::secrets::{Log, tables_with};
use crate::support::{PASSWORD, TestClinic};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_codes_links_and_passwords_are_in_no_table_and_no_log() {
    let log = Log::default();
    let writer = log.clone();
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .try_init();
    let (platform, clinic) = TestClinic::new().await;
    let (anybody, clock) = (clinic.anybody(), &platform.clock);
    let mut inside = clinic.connection().await;
    let doctor = anybody.clone().sign_in(DOCTOR, PASSWORD).await;
    forgot(&anybody, DOCTOR).await.expect(202);
    let link = token(&platform, DOCTOR, "reset-password", 1).await;
    let begun = doctor.post("/auth/totp", &serde_json::json!({ "password": PASSWORD })).await;
    let secret = begun.expect(200).body["secret"].as_str().unwrap().to_owned();
    let raw: String = App::with(&secret).0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tables_with(&mut inside, &raw).await, [""; 0]);
    let (app, codes) = enrol(clock, &doctor).await;
    let used: String = app.0.iter().map(|byte| format!("{byte:02x}")).collect();
    next_step(clock);
    log_in(&anybody, DOCTOR, Some(&codes[0])).await.expect(200);
    doctor.post("/auth/change-password", &change(PASSWORD, NEW_PASSWORD)).await.expect(204);

    let bare = codes.iter().map(|code| code.replace('-', ""));
    let secrets = [secret, raw, used, link, PASSWORD.to_owned(), NEW_PASSWORD.to_owned()];
    let logged = log.text();
    assert!(logged.contains("changePassword"), "the log was taken: {} bytes", logged.len());
    for secret in secrets.into_iter().chain(codes.clone()).chain(bare) {
        assert_eq!(tables_with(&mut inside, &secret).await, [""; 0], "{secret}");
        assert!(!logged.contains(&secret), "{secret} was logged");
    }
}
