//! Somebody who keeps the platform has lost the password, or the app: whoever has the server lets them in.

use serde_json::json;

use super::registry;
use crate::support::{Caller, Process, nadi, nadi_reading, until};

#[tokio::test]
async fn who_lost_password_and_factor_is_let_in_and_all_sessions_end() {
    let platform = registry().await;
    let settings = platform.settings();
    let create = ["admin", "create", "--email", "root@nadi.example", "--password-stdin"];
    nadi_reading(&settings, &create, "neem-leaves-at-dawn\n").await.expect(0);
    let process = Process::serve(&settings).await;
    let anybody = Caller::new(&process.address, "admin.localhost", None);
    let before = anybody.clone().sign_in("root@nadi.example", "neem-leaves-at-dawn").await;
    let mut conn = platform.realm().read().await.unwrap();
    sqlx::query("insert into second_factors (user_id, secret_cipher, confirmed_at) select id, '', now() from users")
        .execute(&mut conn)
        .await
        .unwrap();
    let listed = nadi(&settings, &["admin", "list", "--json"]).await.expect(0).json();
    assert_eq!(listed[0]["email"], "root@nadi.example");
    assert_eq!(
        (&listed[0]["second_factor"], &listed[0]["status"]),
        (&json!(true), &json!("active"))
    );
    let unknown = nadi(&settings, &["admin", "reset", "nobody@nadi.example"]).await.expect(1);
    assert!(unknown.stderr.contains("admin list"), "{}", unknown.stderr);

    let reset = ["admin", "reset", "Root@nadi.example", "--password-stdin", "--second-factor"];
    let weak = nadi_reading(&settings, &reset, "short\n").await.expect(1);
    assert!(weak.stderr.contains("password"), "{}", weak.stderr);
    before.get("/auth/me").await.expect(200);
    nadi_reading(&settings, &reset, "monsoon harvest lamp\n").await.expect(0);

    until("the session has ended", async || before.get("/auth/me").await.status == 401).await;
    anybody.clone().sign_in("root@nadi.example", "monsoon harvest lamp").await;
    let row: serde_json::Value = sqlx::query_scalar(
        "select details from audit_log where action = 'account.password_reset' and account_id is null",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(row, json!({ "sessions": 1, "second_factor_removed": true }));
    let table = nadi(&settings, &["admin", "list"]).await.expect(0).stdout;
    assert!(table.contains("root@nadi.example") && table.contains("LAST SEEN"), "{table}");
}

#[tokio::test]
async fn a_link_lets_somebody_set_another_password_once() {
    let platform = registry().await;
    let settings = platform.settings();
    let create = ["admin", "create", "--email", "root@nadi.example", "--password-stdin"];
    nadi_reading(&settings, &create, "neem-leaves-at-dawn\n").await.expect(0);

    let reset = nadi(&settings, &["admin", "reset", "root@nadi.example"]).await.expect(0);

    let (_, token) = reset.stdout.split_once("/reset-password?token=").expect("a link");
    let process = Process::serve(&settings).await;
    let anybody = Caller::new(&process.address, "admin.localhost", None);
    let old = json!({ "identifier": "root@nadi.example", "password": "neem-leaves-at-dawn" });
    anybody.post("/auth/login", &old).await.expect(401); // whoever has it may be why
    let body = json!({ "token": token.trim(), "password": "monsoon harvest lamp" });
    anybody.post("/auth/reset-password", &body).await.expect(204);
    anybody.post("/auth/reset-password", &body).await.expect(401);
    anybody.clone().sign_in("root@nadi.example", "monsoon harvest lamp").await;
}
