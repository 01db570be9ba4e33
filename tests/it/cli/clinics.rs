//! Accounts, clinics and seeds from the command line, seen by a server that runs meanwhile.

use nadi::auth::Role;
use serde_json::json;

use super::registry;
use crate::support::{Caller, Process, nadi, nadi_reading, until};

#[tokio::test]
async fn a_super_admin_is_made_and_signs_in() {
    let platform = registry().await;
    let settings = platform.settings();
    let create =
        ["admin", "create", "--email", "root@nadi.example", "--name", "Root", "--password-stdin"];

    let weak = nadi_reading(&settings, &create, "short\n").await.expect(1);
    assert!(weak.stderr.contains("password"), "{}", weak.stderr);
    nadi_reading(&settings, &create, "neem-leaves-at-dawn\n").await.expect(0);
    let twice = nadi_reading(&settings, &create, "neem-leaves-at-dawn\n").await.expect(1);
    assert!(twice.stderr.contains("root@nadi.example has an account already"), "{}", twice.stderr);
    let bad = nadi(&settings, &["admin", "create", "--email", "nobody"]).await.expect(1);
    assert!(bad.stderr.contains("--email"), "{}", bad.stderr);
    let linked =
        nadi(&settings, &["admin", "create", "--email", "second@nadi.example"]).await.expect(0);
    assert!(
        linked.stdout.contains("second@nadi.example sets a password at http://admin.localhost")
    );

    let process = Process::serve(&settings).await;
    let root = Caller::new(&process.address, "admin.localhost", None);
    let root = root.sign_in("root@nadi.example", "neem-leaves-at-dawn").await;
    assert_eq!(root.get("/clinics").await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn a_clinic_is_made_shown_suspended_resumed_and_archived_under_a_running_server() {
    let platform = registry().await;
    let settings = platform.settings();
    let process = Process::serve(&settings).await;
    let anybody = Caller::new(&process.address, "shanti.localhost", None);
    assert_eq!(anybody.get("/auth/me").await.expect(404).problem(), "unknown-clinic");
    let create = |slug: &'static str| {
        let settings = settings.clone();
        async move {
            let arguments = [
                "clinic",
                "create",
                slug,
                "--name",
                "Shanti Ayurveda",
                "--time-zone",
                "Asia/Kolkata",
            ];
            let rest =
                ["--admin-email", "asha@shanti.example", "--admin-name", "Asha Rao", "--json"];
            nadi(&settings, &[&arguments[..], &rest].concat()).await
        }
    };

    let made = create("shanti").await.expect(0).json();
    assert_eq!(made["slug"], "shanti");
    assert!(
        made["set_password_url"]
            .as_str()
            .unwrap()
            .contains("shanti.localhost:8088/set-password?token=")
    );
    until("the cached miss is cleared", async || anybody.get("/auth/me").await.status == 401).await;
    let taken = create("shanti").await.expect(1);
    assert!(taken.stderr.contains("there is a clinic of this name already"), "{}", taken.stderr);
    let bad = create("Shanti!").await.expect(1);
    assert!(bad.stderr.contains("/slug"), "{}", bad.stderr);

    let list = nadi(&settings, &["clinic", "list", "--json"]).await.expect(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let mut show = nadi(&settings, &["clinic", "show", "shanti", "--json"]).await.expect(0).json();
    assert!(show["size_bytes"].take().as_i64().unwrap() > 1_000_000);
    assert_eq!(show, list["items"][0], "a list does not measure each database");
    assert_eq!(show["id"], made["id"]);
    let table = nadi(&settings, &["clinic", "list"]).await.expect(0).stdout;
    assert!(table.lines().nth(1).unwrap().starts_with("shanti  active"), "{table}");
    nadi(&settings, &["clinic", "show", "nowhere"]).await.expect(1);

    for (verb, status, answer, problem) in [
        ("suspend", "suspended", 403, "clinic-suspended"),
        ("resume", "active", 401, "unauthenticated"),
        ("archive", "archived", 410, "clinic-archived"),
    ] {
        let changed = nadi(&settings, &["clinic", verb, "shanti", "--json"]).await.expect(0).json();
        assert_eq!(changed["status"], status);
        until(status, async || anybody.get("/auth/me").await.status == answer).await;
        assert_eq!(anybody.get("/auth/me").await.problem(), problem);
    }
    let illegal = nadi(&settings, &["clinic", "resume", "shanti"]).await.expect(1);
    assert!(illegal.stderr.contains("archived"), "{}", illegal.stderr);
    nadi(&settings, &["clinic", "suspend", "nowhere"]).await.expect(1);
}

#[tokio::test]
async fn a_new_clinic_is_seeded_once_and_tells_nobody() {
    let platform = registry().await;
    let settings = platform.settings();
    let clinic = platform.provision("shanti").await;
    let seed = ["seed", "shanti", "--patients", "40", "--appointments", "60", "--json"];

    let seeded = nadi(&settings, &seed).await.expect(0).json();

    assert_eq!(seeded, json!({ "slug": "shanti", "patients": 40, "appointments": 60 }));
    let mut database =
        platform.server.superuser(&nadi::tenancy::roles::database_name(clinic)).await;
    let counts = "select (select count(*) from patients), (select count(*) from appointments),
                         (select count(*) from outbox where purpose like 'appointment.%'),
                         (select count(*) from users where role = $1)";
    let counts: (i64, i64, i64, i64) =
        sqlx::query_as(counts).bind(Role::Doctor).fetch_one(&mut database).await.unwrap();
    assert_eq!((counts.0, counts.1, counts.2), (40, 60, 0));
    assert!(counts.3 > 0);
    let twice = nadi(&settings, &seed).await.expect(1);
    assert!(twice.stderr.contains("has doctors already"), "{}", twice.stderr);
    let unknown = nadi(&settings, &["seed", "nowhere"]).await.expect(1);
    assert!(unknown.stderr.contains("there is no clinic `nowhere`"), "{}", unknown.stderr);
}

#[tokio::test]
async fn a_sweep_has_every_clinic_looked_at_soon() {
    let platform = registry().await;
    platform.provision("shanti").await;
    platform.provision("arogya").await;
    let mut central = platform.server.superuser(&platform.database).await;
    // As a ledger that was restored from before one of them was made.
    for restored in [
        "update wakeups set due_at = 'infinity', sweep_at = now() + interval '1 hour'",
        "delete from wakeups where clinic_id = (select id from clinics where slug = 'arogya')",
    ] {
        sqlx::query(restored).execute(&mut central).await.unwrap();
    }

    let ran = nadi(&platform.settings(), &["clinic", "sweep", "--json"]).await.expect(0);

    assert_eq!(ran.json(), json!({ "clinics": 2 }));
    let soon = "select count(*) from wakeups where sweep_at <= now() + interval '10 min'";
    let soon: i64 = sqlx::query_scalar(soon).fetch_one(&mut central).await.unwrap();
    assert_eq!(soon, 2);
}
