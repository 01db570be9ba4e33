//! A PostgreSQL of our own, for `nadi demo` and the tests: made, started, taken over and stopped without Docker, as root or not.
//! It listens on a private unix socket and on no port, asks for a password (SCRAM), and keeps its data from one start to the next.

mod binaries;
mod cluster;
mod place;
mod postmaster;

use std::io;
use std::path::{Path, PathBuf};

pub use cluster::Cluster;

/// What a caller decides about its server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept: data, socket, passwords, log. Made if missing.
    pub dir: PathBuf,
    /// A folder of PostgreSQL binaries (`NADI_PG_BIN`); none: the environment's, then the usual places.
    pub bin: Option<PathBuf>,
    /// Server settings, as after `-c`. A server that was taken over keeps those it was started with.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    pub fn new(dir: impl Into<PathBuf>) -> Settings {
        Settings { dir: dir.into(), bin: None, extra: Vec::new() }
    }

    /// A caller that gives up durability (tests) need not wait for the disk at `initdb` either.
    fn gives_up_durability(&self) -> bool {
        self.extra.iter().any(|(name, value)| name == "fsync" && value == "off")
    }
}

/// Why there is no server. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no PostgreSQL {} or newer was found{seen}; {help}, or name its folder of binaries by NADI_PG_BIN",
        binaries::OLDEST
    )]
    NoBinaries { seen: String, help: &'static str },
    #[error("the folder of binaries {bin} (NADI_PG_BIN) cannot be used: {reason}", bin = .bin.display())]
    UnusableBinaries { bin: PathBuf, reason: String },
    #[error(
        "{data} was made by PostgreSQL {made_by}, and only {found} is here: install PostgreSQL {made_by}, or move {data} away to start anew",
        data = .data.display()
    )]
    WrongMajor { data: PathBuf, made_by: u32, found: String },
    #[error("{path} is there, but is no PostgreSQL data folder: move it away", path = .0.display())]
    NotACluster(PathBuf),
    #[error(
        "PostgreSQL does not run as root, and this system has neither a user postgres nor a user nobody"
    )]
    NoOrdinaryUser,
    #[error("{path} belongs to somebody else: remove it", path = .0.display())]
    NotOurs(PathBuf),
    #[error("another process uses the server in {dir}: stop it first", dir = .0.display())]
    InUse(PathBuf),
    #[error("initdb failed: {0}")]
    Init(String),
    #[error("PostgreSQL did not start; its log ({log}) ends with: {tail}", log = .log.display())]
    Start { log: PathBuf, tail: String },
    #[error("PostgreSQL (process {pid}) did not stop within {seconds} s")]
    Stop { pid: i32, seconds: u64 },
    #[error("could not {doing} {path}: {source}", path = .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Names the path in an I/O error, which the standard library leaves out.
trait AtPath<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { doing, path: path.into(), source })
    }
}
