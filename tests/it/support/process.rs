//! The real binary as a process of its own, which can be killed, stopped and told to leave.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Long enough for a debug build on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Itself, if it ended so; else says what came instead.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

/// `nadi`, with these settings and none of the environment's.
fn command(settings: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nadi"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NADI_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).kill_on_drop(true).stdin(Stdio::null());
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs a command to its end.
pub async fn nadi(settings: &[(String, String)], arguments: &[&str]) -> Ran {
    nadi_reading(settings, arguments, "").await
}

/// Runs a command to its end, with something to read.
pub async fn nadi_reading(settings: &[(String, String)], arguments: &[&str], input: &str) -> Ran {
    let mut command = command(settings, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read may have closed it already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.unwrap_or_else(|_| panic!("`nadi {arguments:?}` does not end")).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `nadi serve` or `nadi demo` that runs. Killed when dropped.
pub struct Process {
    child: Child,
    /// `http://127.0.0.1:<port>`
    pub address: String,
    pub metrics_address: String,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    /// `nadi serve` with these settings, once it answers.
    pub async fn serve(settings: &[(String, String)]) -> Self {
        Self::start(settings, &["serve"]).await
    }

    /// Starts it on free ports, and waits until it is ready.
    pub async fn start(settings: &[(String, String)], arguments: &[&str]) -> Self {
        for _ in 0..5 {
            let mut process = Self::launch(settings, arguments);
            if process.is_ready().await {
                return process;
            }
            // Between our look at the port and its use another test took it.
            assert!(process.log().contains("cannot listen on"), "{}", process.log());
        }
        panic!("no port stays free");
    }

    /// Starts it on free ports, and does not wait.
    pub fn launch(settings: &[(String, String)], arguments: &[&str]) -> Self {
        let [bind, metrics] = free_addresses();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let mut command = command(settings, arguments);
        command.env("NADI_BIND", &bind).env("NADI_METRICS_BIND", &metrics);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        Self {
            child,
            address: format!("http://{bind}"),
            metrics_address: format!("http://{metrics}"),
            log,
            _folder: folder,
        }
    }

    /// Waits until it can serve; false: it has ended instead.
    async fn is_ready(&mut self) -> bool {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            let asked = client.get(format!("{}/health/ready", self.address)).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            assert!(Instant::now() < deadline, "never ready:\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// What it has printed, both ways.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs");
        kill(Pid::from_raw(id as i32), signal).unwrap();
    }

    /// SIGKILL: it does nothing more, not even close what is open.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// A figure of its metrics page, without labels; none: it is not there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let page = reqwest::get(format!("{}/metrics", self.metrics_address)).await.unwrap();
        let page = page.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }
}

/// Two that nobody uses just now.
fn free_addresses() -> [String; 2] {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    [listen(), listen()].map(|listener| listener.local_addr().unwrap().to_string())
}
