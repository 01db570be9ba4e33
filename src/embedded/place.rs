//! Where a server's files are, and as whom it runs: PostgreSQL refuses root, and its user must be able to reach its folder.
//! Only folders that we made, or found empty, change hands; nothing else of the caller's is touched.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{AtPath, EmbeddedError, Settings, binaries};

/// The port's number is part of the socket's name; there is no port.
pub(super) const PORT: u16 = 5432;

/// `sun_path` holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
const LONGEST_SOCKET_PATH: usize = 103;

/// The ordinary user that the server runs as: our own, or, as root, another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunAs {
    other: Option<(u32, u32)>,
}

impl RunAs {
    fn choose(data: &Path) -> Result<RunAs, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(RunAs { other: None });
        }
        // Data that an ordinary user made stays that user's.
        if let Ok(made) = fs::metadata(data)
            && made.uid() != 0
        {
            return Ok(RunAs { other: Some((made.uid(), made.gid())) });
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| RunAs { other: Some((user.uid.as_raw(), user.gid.as_raw())) })
            .ok_or(EmbeddedError::NoOrdinaryUser)
    }

    pub(super) fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid); // the standard library drops the other groups, too
        }
    }

    /// Hands a file or folder of ours to the server's user.
    fn give(self, path: &Path) -> Result<(), EmbeddedError> {
        match self.other {
            Some((uid, gid)) => {
                chown(path, Some(uid), Some(gid)).at("hand over to PostgreSQL's user", path)
            }
            None => Ok(()),
        }
    }

    fn uid(self) -> u32 {
        self.other.map_or(geteuid().as_raw(), |(uid, _)| uid)
    }
}

/// A server's folder, and what is where in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) run_as: RunAs,
    pub(super) binaries: binaries::Binaries,
}

impl Place {
    /// Settles user, programs and folder. As root, a folder that the server's user cannot reach gives way to one under `/var/lib`.
    pub(super) async fn settle(settings: &Settings) -> Result<Place, EmbeddedError> {
        let wanted = std::path::absolute(&settings.dir).at("find", &settings.dir)?;
        let refuge = Path::new("/var/lib").join(format!("nadi-{}", short_hash(&wanted)));
        let moved = geteuid().is_root() && refuge.join("data").is_dir();
        let known = if moved { &refuge } else { &wanted };
        let data = known.join("data");
        let run_as = RunAs::choose(&data)?;
        let bin = settings.bin.as_deref();
        let binaries = binaries::find(bin, major_of(&data)?, &data, run_as).await?;

        let parent = known.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).at("make", parent)?;
        let mut dir = known;
        let reachable = binaries.can_enter(parent, run_as).await && {
            make_private(dir, run_as)?;
            binaries.can_enter(dir, run_as).await
        };
        if !reachable {
            dir = &refuge;
            make_private(dir, run_as)?;
        }
        if *dir != wanted {
            tracing::warn!(
                wanted = %wanted.display(), used = %dir.display(),
                "PostgreSQL does not run as root, and its user cannot enter the folder wanted: its data is kept elsewhere"
            );
        }
        let dir = dir.canonicalize().at("find", dir)?;
        Ok(Place { dir, run_as, binaries })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Where role `role` has its password.
    pub(super) fn password_file(&self, role: &str) -> PathBuf {
        self.dir.join(format!("{role}.password"))
    }

    /// A new folder for the server's user alone.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new().mode(0o700).create(path).at("make", path)?;
        self.run_as.give(path)
    }

    /// Replaces a file that only we and the server's user may read.
    pub(super) fn write_private(&self, path: &Path, text: &str) -> Result<File, EmbeddedError> {
        remove_if_there(path)?; // a new inode: whoever has the old one open (a server its log) keeps that
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .at("write", path)?;
        self.run_as.give(path)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at("write", path)?;
        Ok(file)
    }

    /// A file to lock; what it holds does not matter.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, EmbeddedError> {
        let path = self.dir.join(name);
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.at("open", &path)?;
        self.run_as.give(&path)?;
        Ok(file)
    }

    /// The socket's folder, which is the access control: nobody else may enter it.
    pub(super) fn socket_dir(&self) -> Result<PathBuf, EmbeddedError> {
        let mut path = self.dir.join("socket");
        let socket = path.join(format!(".s.PGSQL.{PORT}"));
        let socket = socket.as_os_str().as_bytes();
        // libpq would take a comma for the end of the first of several hosts.
        if socket.len() > LONGEST_SOCKET_PATH || socket.contains(&b',') {
            path = Path::new("/tmp").join(format!("nadi-{}", short_hash(&self.dir)));
        }
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.make_folder(&path)?,
            // In /tmp anybody may have been there first.
            Ok(found) if found.is_dir() && found.uid() == self.run_as.uid() => {
                fs::set_permissions(&path, Permissions::from_mode(0o700)).at("protect", &path)?;
            }
            Ok(_) => return Err(EmbeddedError::NotOurs(path)),
            Err(source) => return Err(EmbeddedError::Io { doing: "look at", path, source }),
        }
        Ok(path)
    }
}

/// The major version that made this data; none where there is no data yet.
fn major_of(data: &Path) -> Result<Option<u32>, EmbeddedError> {
    if !data.try_exists().at("look at", data)? {
        return Ok(None);
    }
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(version) => match version.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster(data.into())),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(EmbeddedError::NotACluster(data.into()))
        }
        Err(e) => Err(e).at("read", &data.join("PG_VERSION")),
    }
}

/// Makes `dir` the server's own, if it is new or empty; one in use already is left as it is.
fn make_private(dir: &Path, run_as: RunAs) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_dir(dir).at("read", dir)?.next().is_some() {
                return Ok(());
            }
            fs::set_permissions(dir, Permissions::from_mode(0o700)).at("protect", dir)?;
        }
        Err(e) => return Err(e).at("make", dir),
    }
    run_as.give(dir)
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), EmbeddedError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).at("remove", path),
        _ => Ok(()),
    }
}

fn short_hash(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_bytes())[..6].iter().map(|b| format!("{b:02x}")).collect()
}
