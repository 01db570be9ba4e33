//! The login role: it opens its own clinic's database alone.

use nadi::tenancy::roles;
use sqlx::{ConnectOptions, PgConnection};

use super::keys;
use crate::support::{TestClinic, TestPlatform};

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
