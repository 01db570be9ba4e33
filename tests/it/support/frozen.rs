//! Backends of PostgreSQL that hold still: their connections stand, and nothing comes over them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgConnection;

/// Held until this is dropped.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    /// Catches them idle: one that was stopped in the middle of a commit would hold the whole server up.
    pub async fn new(superuser: &mut PgConnection, pids: &[i32]) -> Self {
        let stopped: Vec<Pid> = pids.iter().copied().map(Pid::from_raw).collect();
        loop {
            let frozen = Self::stop(&stopped);
            let busy: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where pid = any($1) and state <> 'idle'",
            )
            .bind(pids)
            .fetch_one(&mut *superuser)
            .await
            .unwrap();
            if busy == 0 {
                return frozen;
            }
        }
    }

    fn stop(pids: &[Pid]) -> Self {
        let frozen = Self(pids.to_vec());
        frozen.send(Signal::SIGSTOP);
        frozen
    }

    fn send(&self, signal: Signal) {
        for pid in &self.0 {
            // One may have ended by itself meanwhile.
            let _ = kill(*pid, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send(Signal::SIGCONT);
    }
}
