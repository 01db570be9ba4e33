//! Kills of the server, and of whoever started it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nadi::embedded::Cluster;
use nix::sys::signal::{Signal, kill};
use tokio::time::Instant;

use super::{Scratch, connect, server_pid, settings, text, until};

/// Set in a copy of a test that plays the process that is killed: the folder of its server.
const STARTER: &str = "NADI_TEST_STARTER";

/// Runs `test` of this file again, in a process of its own that plays the starter of a server in `dir`.
fn starter(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("embedded::kills::{test}"), "--nocapture"])
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
