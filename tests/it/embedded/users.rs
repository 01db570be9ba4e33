//! Whose process the server is.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nadi::embedded::Cluster;
use nix::unistd::geteuid;

use super::{Scratch, server_pid};

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
        return; // then all tests of the embedded server are this test
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let scratch = Scratch::new("ordinary");
    std::fs::create_dir_all(&scratch.0).unwrap();
    // A copy, since that user may not be able to enter the folder of the build.
    let copy = scratch.0.join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    chown(&scratch.0, Some(uid), Some(gid)).unwrap();

    for test in ["lives::data_outlives_a_restart", "kills::a_server_that_was_killed_starts_again"] {
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
