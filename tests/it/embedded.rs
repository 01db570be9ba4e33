//! The embedded server: it keeps its data, survives kills of itself and of its starter, and lets in nobody without a password.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nadi::embedded::{Cluster, EmbeddedError, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

/// Set in a copy of a test that plays the process that is killed: the folder of its server.
const STARTER: &str = "NADI_TEST_STARTER";

/// A folder for one test's server; gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("nadi-it-{name}-{}", std::process::id())))
    }

    fn settings(&self) -> Settings {
        settings(self.0.join("pg"))
    }

    fn data(&self) -> PathBuf {
        self.0.join("pg/data")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(dir: PathBuf) -> Settings {
    Settings { extra: vec![("fsync".into(), "off".into())], ..Settings::new(dir) }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn text(url: &str, query: &'static str) -> String {
    sqlx::query_scalar(query).fetch_one(&mut connect(url).await).await.unwrap()
}

fn server_pid(data: &Path) -> Option<Pid> {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Some(Pid::from_raw(file.lines().next()?.trim().parse().ok()?))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Runs `test` of this file again, in a process of its own that plays the starter of a server in `dir`.
fn starter(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("embedded::{test}"), "--nocapture"])
        .env(STARTER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The starter's part: start, say so, and wait to be killed.
async fn play_starter() {
    if let Some(dir) = std::env::var_os(STARTER) {
        let _cluster = Cluster::start(settings(dir.into())).await.unwrap();
        println!("\nserver is up");
        std::future::pending().await
    }
}

#[tokio::test]
async fn data_outlives_a_restart() {
    let scratch = Scratch::new("restart");

    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    let mut db = connect(&cluster.superuser_url("postgres")).await;
    sqlx::query("create table pulse as select 'kapha' as reading").execute(&mut db).await.unwrap();
    let first_url = cluster.superuser_url("postgres");
    cluster.stop().await.unwrap();
    assert!(PgConnection::connect(&first_url).await.is_err(), "a stopped server answers nobody");
    assert_eq!(server_pid(&scratch.data()), None);

    let again = Cluster::start(scratch.settings()).await.unwrap();
    assert!(!again.was_taken_over());
    assert_eq!(again.superuser_url("postgres"), first_url, "addresses do not change");
    assert_eq!(text(&first_url, "select reading from pulse").await, "kapha");
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_killed_starts_again() {
    let scratch = Scratch::new("killed");
    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    let url = cluster.superuser_url("postgres");
    let mut db = connect(&url).await;
    sqlx::query("create table pulse as select 'vata' as reading").execute(&mut db).await.unwrap();

    kill(server_pid(&scratch.data()).unwrap(), Signal::SIGKILL).unwrap();
    cluster.leave_running();
    assert!(server_pid(&scratch.data()).is_some(), "a kill leaves the pid file");
    let again = Cluster::start(scratch.settings()).await.unwrap();

    assert!(!again.was_taken_over());
    assert_eq!(text(&url, "select reading from pulse").await, "vata");
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_that_went_to_another_process_is_neither_believed_nor_killed() {
    let scratch = Scratch::new("reused");
    Cluster::start(scratch.settings()).await.unwrap().stop().await.unwrap();
    // Of the server's own user, or PostgreSQL itself would know it for a stranger.
    let owner = std::fs::metadata(scratch.data()).unwrap().uid();
    let mut stranger = Command::new("sleep").arg("600").uid(owner).spawn().unwrap();
    let pid_file = scratch.data().join("postmaster.pid");
    let data = scratch.data();
    let text = format!("{}\n{}\n1\n5432\n/x\n\n  1  1\nready\n", stranger.id(), data.display());
    std::fs::write(&pid_file, text).unwrap();

    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    assert!(!cluster.was_taken_over());
    cluster.stop().await.unwrap();

    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_server_whose_starter_was_killed_is_taken_over() {
    play_starter().await;
    let scratch = Scratch::new("takeover");
    let mut child =
        starter("a_server_whose_starter_was_killed_is_taken_over", &scratch.settings().dir);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "server is up"));
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = server_pid(&scratch.data()).unwrap();
    kill(pid, None).expect("the server lives on without its starter");

    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    assert!(cluster.was_taken_over());
    assert_eq!(server_pid(&scratch.data()), Some(pid));
    assert_eq!(text(&cluster.url("postgres"), "select current_user::text").await, "nadi");
    cluster.stop().await.unwrap();

    assert_eq!(server_pid(&scratch.data()), None, "it is stopped as if it were our own");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_making_leaves_no_half() {
    play_starter().await;
    let scratch = Scratch::new("half");
    let dir = scratch.settings().dir;
    let half_made = || {
        let names = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with("making-")).count()
    };
    let mut child = starter("a_kill_in_the_middle_of_making_leaves_no_half", &dir);
    until("the making of a server", || half_made() == 1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!scratch.data().exists());

    let cluster = Cluster::start(scratch.settings()).await.unwrap();

    assert_eq!(text(&cluster.url("postgres"), "select current_user::text").await, "nadi");
    cluster.stop().await.unwrap();
    // The killed start's orphan may have written on for a moment: what it wrote goes at a later start.
    let deadline = Instant::now() + Duration::from_secs(30);
    while half_made() > 0 {
        assert!(Instant::now() < deadline, "half of a server stays behind");
        Cluster::start(scratch.settings()).await.unwrap().stop().await.unwrap();
    }
}

#[tokio::test]
async fn two_starters_at_once_share_one_server_until_the_last_one_stops() {
    let scratch = Scratch::new("shared");

    let (one, two) =
        tokio::join!(Cluster::start(scratch.settings()), Cluster::start(scratch.settings()));
    let (one, two) = (one.unwrap(), two.unwrap());

    assert_ne!(one.was_taken_over(), two.was_taken_over(), "one makes it, the other takes it over");
    let url = one.url("postgres");
    let refused = Cluster::destroy(&scratch.settings()).await;
    assert!(matches!(refused, Err(EmbeddedError::InUse(_))), "{refused:?}");
    one.stop().await.unwrap();
    assert_eq!(text(&url, "select current_user::text").await, "nadi", "the other needs it still");
    drop(two);
    until("the last one's server to stop", || server_pid(&scratch.data()).is_none()).await;
}

#[tokio::test]
async fn two_servers_run_side_by_side() {
    let (left, right) = (Scratch::new("left"), Scratch::new("right"));

    let (one, two) =
        tokio::join!(Cluster::start(left.settings()), Cluster::start(right.settings()));
    let (one, two) = (one.unwrap(), two.unwrap());

    let data_directory = "select current_setting('data_directory')";
    let of_one = text(&one.superuser_url("postgres"), data_directory).await;
    let of_two = text(&two.superuser_url("postgres"), data_directory).await;
    assert_eq!(of_one, left.data().canonicalize().unwrap().to_string_lossy());
    assert_eq!(of_two, right.data().canonicalize().unwrap().to_string_lossy());
    one.stop().await.unwrap();
    assert_eq!(text(&two.superuser_url("postgres"), data_directory).await, of_two);
    two.stop().await.unwrap();
}

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
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let scratch = Scratch::new("major");
    Cluster::start(scratch.settings()).await.unwrap().stop().await.unwrap();
    let version_file = scratch.data().join("PG_VERSION");
    std::fs::write(&version_file, "12\n").unwrap();

    let refused = Cluster::start(scratch.settings()).await.unwrap_err();

    assert!(matches!(refused, EmbeddedError::WrongMajor { made_by: 12, .. }), "{refused:?}");
    assert!(refused.to_string().contains("PostgreSQL 12"), "{refused}");
    assert_eq!(std::fs::read_to_string(version_file).unwrap(), "12\n");
}

#[tokio::test]
async fn a_named_folder_without_postgresql_is_refused_by_name() {
    let scratch = Scratch::new("nobin");
    std::fs::create_dir_all(&scratch.0).unwrap();

    let settings = Settings { bin: Some(scratch.0.clone()), ..scratch.settings() };
    let refused = Cluster::start(settings).await.unwrap_err().to_string();

    assert!(refused.contains(&*scratch.0.to_string_lossy()), "{refused}");
    assert!(refused.contains("NADI_PG_BIN"), "{refused}");
}

#[tokio::test]
async fn a_setting_that_postgresql_refuses_is_named_in_the_error() {
    let scratch = Scratch::new("badsetting");
    let mut settings = scratch.settings();
    settings.extra.push(("max_connections".into(), "many".into()));

    let refused = Cluster::start(settings).await.unwrap_err();

    assert!(matches!(refused, EmbeddedError::Start { .. }), "{refused:?}");
    assert!(refused.to_string().contains("max_connections"), "{refused}");
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

#[tokio::test]
async fn destroy_stops_what_runs_and_the_next_start_is_a_new_server() {
    let scratch = Scratch::new("destroy");
    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    let old_url = cluster.url("postgres");
    let pid = server_pid(&scratch.data()).unwrap();
    cluster.leave_running();

    Cluster::destroy(&scratch.settings()).await.unwrap();
    until("the server to end", || kill(pid, None).is_err()).await;
    assert!(!scratch.data().exists());

    let cluster = Cluster::start(scratch.settings()).await.unwrap();
    assert_ne!(cluster.url("postgres"), old_url, "with passwords of its own");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn as_root_the_server_runs_as_somebody_else_and_not_inside_a_closed_folder() {
    if !geteuid().is_root() {
        return; // an ordinary user enters every folder of its own
    }
    let scratch = Scratch::new("closed");
    std::fs::create_dir_all(&scratch.0).unwrap();
    std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o700)).unwrap();

    let cluster = Cluster::start(scratch.settings()).await.unwrap();

    let refuge = cluster.dir().to_path_buf();
    assert!(refuge.starts_with("/var/lib"), "{}", refuge.display());
    let pid = server_pid(&refuge.join("data")).unwrap();
    assert_ne!(std::fs::metadata(format!("/proc/{pid}")).unwrap().uid(), 0);
    cluster.stop().await.unwrap();
    let again = Cluster::start(scratch.settings()).await.unwrap();
    assert_eq!(again.dir(), refuge, "found again");
    again.stop().await.unwrap();
    Cluster::destroy(&scratch.settings()).await.unwrap();
    std::fs::remove_dir_all(refuge).unwrap();
}

#[tokio::test]
async fn an_ordinary_user_needs_no_help_of_root() {
    if !geteuid().is_root() {
        return; // then all tests of this file are this test
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let scratch = Scratch::new("ordinary");
    std::fs::create_dir_all(&scratch.0).unwrap();
    // A copy, since that user may not be able to enter the folder of the build.
    let copy = scratch.0.join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    chown(&scratch.0, Some(uid), Some(gid)).unwrap();

    for test in ["data_outlives_a_restart", "a_server_that_was_killed_starts_again"] {
        let output = Command::new(&copy)
            .args(["--exact", &format!("embedded::{test}")])
            .env("TMPDIR", &scratch.0)
            .current_dir("/")
            .uid(uid)
            .gid(gid)
            .output()
            .unwrap();

        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
