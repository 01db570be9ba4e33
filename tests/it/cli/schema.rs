//! The central schema: `serve` refuses an old one, and migrating it is dull, however many do it at once.

use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use super::empty;
use crate::support::{nadi, until};

#[tokio::test]
async fn serve_refuses_an_old_schema_and_says_what_to_do() {
    let platform = empty().await;

    let ran = nadi(&platform.settings(), &["serve"]).await.expect(1);

    assert!(ran.stderr.contains("run `nadi migrate central` first"), "{}", ran.stderr);
    let doctor = nadi(&platform.settings(), &["doctor"]).await.expect(1);
    assert!(doctor.stdout.contains("run `nadi migrate central`"), "{}", doctor.stdout);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_second_run_finds_nothing() {
    let platform = empty().await;
    let settings = platform.settings();

    let dry =
        nadi(&settings, &["migrate", "central", "--dry-run", "--json"]).await.expect(0).json();
    let level = dry["level"].as_u64().unwrap();
    assert_eq!(dry["migrations"].as_array().unwrap().len() as u64, level);
    let mut central = platform.server.superuser(&platform.database).await;
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut central).await.unwrap();
    assert_eq!(tables, 0);

    let first = nadi(&settings, &["migrate", "central", "--json"]).await.expect(0).json();
    assert_eq!(first["migrations"], dry["migrations"]);
    let second = nadi(&settings, &["migrate", "central", "--json"]).await.expect(0).json();
    assert_eq!(second, json!({ "level": level, "dry_run": false, "migrations": [] }));
    let status = nadi(&settings, &["migrate", "status"]).await.expect(0);
    assert!(status.stdout.contains(&format!("central: level {level} of {level}, 0 pending")));
    let public: bool = sqlx::query_scalar(
        "select exists(select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as acl
                       where d.datname = current_database() and acl.grantee = 0)",
    )
    .fetch_one(&mut central)
    .await
    .unwrap();
    assert!(!public, "PUBLIC may not even connect");
}

#[tokio::test]
async fn four_at_once_migrate_once() {
    let platform = empty().await;
    let settings = platform.settings();
    let migrate = || nadi(&settings, &["migrate", "central", "--json"]);

    let (a, b, c, d) = tokio::join!(migrate(), migrate(), migrate(), migrate());

    let applied: usize = [a, b, c, d]
        .map(|ran| ran.expect(0).json()["migrations"].as_array().unwrap().len())
        .iter()
        .sum();
    assert_eq!(applied, nadi::tenancy::migrate::central_level() as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_held_to_no_statements_limit() {
    let platform = empty().await;
    let mut holder = platform.server.superuser(&platform.database).await;
    sqlx::query("select pg_advisory_lock(1851876457, 1835624306)")
        .execute(&mut holder)
        .await
        .unwrap();
    let migrate = async {
        let mut connection =
            platform.server.provisioning(&platform.database).connect().await.unwrap();
        // As a clinic's database has one.
        sqlx::query("set statement_timeout = '50ms'").execute(&mut connection).await.unwrap();
        nadi::tenancy::migrate::central(&mut connection).await
    };
    let wait = async {
        until("it has waited for longer than a statement may take", async || {
            sqlx::query_scalar(
                "select exists(select from pg_stat_activity
                               where datname = current_database() and wait_event = 'advisory'
                                 and query_start < clock_timestamp() - interval '150 ms')",
            )
            .fetch_one(&mut holder)
            .await
            .unwrap()
        })
        .await;
        sqlx::query("select pg_advisory_unlock_all()").execute(&mut holder).await.unwrap();
    };

    let (migrated, ()) = tokio::join!(migrate, wait);

    assert_eq!(migrated.unwrap().len(), nadi::tenancy::migrate::central_level() as usize);
}

#[tokio::test]
async fn a_schema_from_a_newer_binary_is_left_alone() {
    let platform = super::registry().await;
    let mut central = platform.server.superuser(&platform.database).await;
    sqlx::query(
        "insert into refinery_schema_history (version, name, applied_on, checksum)
         values (999, 'from_tomorrow', '2099-01-01T00:00:00Z', '1')",
    )
    .execute(&mut central)
    .await
    .unwrap();
    central.close().await.unwrap();

    let ran = nadi(&platform.settings(), &["migrate", "central"]).await.expect(1);

    assert!(ran.stderr.contains("V999__from_tomorrow"), "{}", ran.stderr);
    let status = nadi(&platform.settings(), &["migrate", "status"]).await.expect(0);
    assert!(
        status.stdout.contains("V999__from_tomorrow (unknown to this binary)"),
        "{}",
        status.stdout
    );
}
