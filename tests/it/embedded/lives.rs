//! From the first start to the end: restarts, neighbours, several starters.

use nadi::embedded::{Cluster, EmbeddedError};
use nix::sys::signal::kill;
use sqlx::{Connection, PgConnection};

use super::{Scratch, connect, server_pid, text, until};

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
