//! The running server: what `postmaster.pid` says about it, whether that is still true, and how it is stopped.
//! A process id alone proves nothing, since the system gives it out again; the command line has to name our data folder.

use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::EmbeddedError;

/// How often a state is looked at while we wait for it.
pub(super) const GLANCE: Duration = Duration::from_millis(10);

/// Fast shutdown writes a checkpoint, which a slow disk may draw out.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// What a server writes about itself into its data folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    pub(super) ready: bool,
}

impl PidFile {
    pub(super) fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    /// None if there is no such file, or it is not yet, or no longer, whole.
    pub(super) fn read(data: &Path) -> Option<PidFile> {
        PidFile::parse(&std::fs::read_to_string(PidFile::path(data)).ok()?)
    }

    /// Line 1 is the process, line 5 the socket's folder, line 8 the state.
    fn parse(text: &str) -> Option<PidFile> {
        let lines: Vec<&str> = text.lines().collect();
        let pid = lines.first()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let socket_dir = lines.get(4).copied().unwrap_or_default().into();
        let ready = lines.get(7).is_some_and(|state| state.trim() == "ready");
        Some(PidFile { pid, socket_dir, ready })
    }
}

/// A server of ours. Dropped, it is told to stop, but not waited for; `release` it to leave it running.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: i32,
    data: PathBuf,
    /// None: another process started it.
    child: Option<Child>,
    released: bool,
}

impl Postmaster {
    pub(super) fn started(child: Child, data: PathBuf) -> io::Result<Postmaster> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Postmaster { pid, data, child: Some(child), released: false })
    }

    pub(super) fn taken_over(pid: i32, data: PathBuf) -> Postmaster {
        Postmaster { pid, data, child: None, released: false }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it ended. Only this, which collects it, frees the process id of a child of ours.
    pub(super) fn has_ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !is_postmaster(self.pid, &self.data),
        }
    }

    /// Fast shutdown: sessions end, transactions roll back, a checkpoint is written.
    pub(super) async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.signal();
        self.released = true;
        let deadline = Instant::now() + STOP_WITHIN;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return Err(EmbeddedError::Stop { pid: self.pid, seconds: STOP_WITHIN.as_secs() });
            }
            sleep(GLANCE).await;
        }
        Ok(())
    }

    pub(super) fn release(&mut self) {
        self.released = true;
    }

    fn signal(&mut self) {
        if self.has_ended() {
            return; // its number may be another process's by now
        }
        if let Err(error) = kill(Pid::from_raw(self.pid), Signal::SIGINT) {
            tracing::warn!(pid = self.pid, %error, "could not tell PostgreSQL to stop");
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if !self.released {
            self.signal();
        }
    }
}

pub(super) fn is_alive(pid: i32) -> bool {
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// Whether this process is the server of this data folder.
///
/// Its command line tells: its working folder would, too, but in a container even root may not read that of another user.
#[cfg(target_os = "linux")]
pub(super) fn is_postmaster(pid: i32, data: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_bytes())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_postmaster(pid: i32, data: &Path) -> bool {
    let arguments = ["-ww", "-o", "command=", "-p", &pid.to_string()];
    let line = std::process::Command::new("ps").args(arguments).output();
    line.is_ok_and(|line| String::from_utf8_lossy(&line.stdout).contains(&*data.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "4711\n/d/data\n1700000000\n5432\n/d/socket\n\n  5432001   7\nready   \n";

    #[test]
    fn a_server_is_ready_when_line_eight_says_so() {
        let ready = PidFile { pid: 4711, socket_dir: "/d/socket".into(), ready: true };
        let cases = [
            (WHOLE.to_owned(), Some(ready)),
            (
                WHOLE.replace("ready", "stopping"),
                Some(PidFile { pid: 4711, socket_dir: "/d/socket".into(), ready: false }),
            ),
            ("4711\n".into(), Some(PidFile { pid: 4711, socket_dir: "".into(), ready: false })),
            ("".into(), None),
            ("nonsense\n".into(), None),
            ("-1\n".into(), None), // kill(-1) would be everybody
        ];

        for (text, expected) in cases {
            assert_eq!(PidFile::parse(&text), expected, "{text}");
        }
    }
}
