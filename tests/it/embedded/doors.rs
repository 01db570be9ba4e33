//! Who comes in, and what they may do there.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nadi::embedded::Cluster;
use sqlx::{Connection, PgConnection};

use super::{Scratch, connect, settings, text};

#[tokio::test]
async fn nobody_comes_in_without_the_password_or_over_a_port() {
    let scratch = Scratch::new("password");
    let cluster = Cluster::start(scratch.settings()).await.unwrap();

    for good in [cluster.url("postgres"), cluster.superuser_url("postgres")] {
        assert_eq!(text(&good, "select 'in'").await, "in");
        let (user, host) = good.split_once('@').unwrap();
        let wrong = format!("{user}0@{host}");
        let none = format!("{}@{host}", user.rsplit_once(':').unwrap().0);
        for bad in [wrong, none] {
            let refused = PgConnection::connect(&bad).await.unwrap_err().to_string();
            assert!(refused.contains("password"), "{refused}");
        }
    }

    let superuser = cluster.superuser_url("postgres");
    assert_eq!(text(&superuser, "select current_setting('listen_addresses')").await, "");
    assert_eq!(text(&superuser, "select current_setting('fsync')").await, "off", "as asked");
    assert_eq!(text(&superuser, "select current_setting('data_checksums')").await, "on");
    assert_eq!(std::fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777, 0o700);
    for role in ["nadi", "postgres"] {
        let file = cluster.dir().join(format!("{role}.password"));
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_provisioning_role_makes_databases_and_roles_and_is_no_superuser() {
    let scratch = Scratch::new("roles");
    let cluster = Cluster::start(scratch.settings()).await.unwrap();

    let mut nadi = connect(&cluster.url("postgres")).await;
    let rights: (bool, bool, bool, bool) = sqlx::query_as(
        "select rolsuper, rolcreatedb, rolcreaterole, pg_has_role('pg_read_all_stats', 'member')
         from pg_roles where rolname = current_user",
    )
    .fetch_one(&mut nadi)
    .await
    .unwrap();
    assert_eq!(rights, (false, true, true, true));
    for statement in [
        "create database central template template0 encoding 'UTF8' locale 'C.UTF-8'",
        "create role stranger login password 'a-stranger'",
    ] {
        sqlx::query(statement).execute(&mut nadi).await.unwrap();
    }
    let central = cluster.url("central");
    let mut db = connect(&central).await;
    sqlx::query("create extension btree_gist").execute(&mut db).await.unwrap();
    sqlx::query("create extension pg_trgm").execute(&mut db).await.unwrap();
    // Under plain C this is 0: pg_trgm drops every letter that is not ASCII.
    let alike: f32 =
        sqlx::query_scalar("select similarity('शर्मा', 'शर्म')").fetch_one(&mut db).await.unwrap();
    assert!(alike > 0.0);

    for database in ["postgres", "template1"] {
        let url = cluster.url(database);
        let (_, host) = url.split_once('@').unwrap();
        let stranger = format!("postgresql://stranger:a-stranger@{host}");
        let refused = PgConnection::connect(&stranger).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn psql_takes_the_address_of_any_folder() {
    let scratch = Scratch::new("odd");
    let long = "a-folder-whose-name-is-so-long-that-no-socket-could-have-its-path".repeat(2);
    for name in ["a space, a \"quote\", नाडी & 100%+1", &long] {
        let cluster = Cluster::start(settings(scratch.0.join(name))).await.unwrap();

        let psql = Command::new("psql")
            .args(["-XAtc", "select current_user", &cluster.url("postgres")])
            .output()
            .unwrap();

        let complaint = String::from_utf8_lossy(&psql.stderr);
        assert_eq!(String::from_utf8_lossy(&psql.stdout), "nadi\n", "{name}: {complaint}");
        assert_eq!(text(&cluster.url("postgres"), "select current_user::text").await, "nadi");
        let socket_dir = cluster.socket_dir().to_path_buf();
        cluster.stop().await.unwrap();
        Cluster::destroy(&settings(scratch.0.join(name))).await.unwrap();
        assert!(!socket_dir.exists(), "nothing stays behind in /tmp");
    }
}
