//! The embedded server: it keeps its data, survives kills of itself and of its starter, and lets in nobody without a password.

mod doors;
mod kills;
mod lives;
mod refusals;
mod users;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nadi::embedded::Settings;
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

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
