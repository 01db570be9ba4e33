//! Finds PostgreSQL's programs: the caller's folder, PATH, then where systems put them, newest first.
//! A candidate counts only if its `postgres --version` runs as the user that is to run the server.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::EmbeddedError;
use super::place::RunAs;

/// The oldest major version that our migrations and grants are written for.
pub(super) const OLDEST: u32 = 15;

/// Where systems keep one folder for each version: (parent, what its name starts with, where the programs are in it).
const VERSIONED: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Variables that a program may need to load; PG* and our own secrets stay behind.
const KEPT_ENVIRONMENT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

#[derive(Debug)]
pub(super) struct Binaries {
    dir: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// One of the programs, to be run as `run_as` from `/`, out of the terminal's reach: Ctrl-C is for us, and we stop the server in good order.
    pub(super) fn command(&self, program: &str, run_as: RunAs) -> Command {
        command(&self.dir.join(program), run_as)
    }

    /// Whether that user gets as far as this folder: it must pass each of its parents.
    pub(super) async fn can_enter(&self, folder: &Path, run_as: RunAs) -> bool {
        let mut probe = self.command("postgres", run_as);
        probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).current_dir(folder);
        probe.status().await.is_ok_and(|status| status.success())
    }
}

/// The first usable PostgreSQL, of major version `made_by` if there is data already.
pub(super) async fn find(
    bin: Option<&Path>,
    made_by: Option<u32>,
    data: &Path,
    run_as: RunAs,
) -> Result<Binaries, EmbeddedError> {
    let named = bin.map(Path::to_path_buf).or_else(|| {
        std::env::var_os("NADI_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    let candidates = match &named {
        Some(folder) => vec![folder.clone()],
        None => usual_places(),
    };
    let mut seen = Vec::new();
    let mut other_majors = Vec::new();
    for folder in candidates {
        match inspect(&folder, run_as).await {
            Ok(found) if found.major < OLDEST => {
                seen.push(format!("{} is {}, too old", found.dir.display(), found.version));
            }
            Ok(found) if made_by.is_some_and(|major| major != found.major) => {
                other_majors.push(format!("{} ({})", found.version, found.dir.display()));
            }
            Ok(found) => return Ok(found),
            Err(reason) => match &named {
                Some(bin) => {
                    return Err(EmbeddedError::UnusableBinaries { bin: bin.clone(), reason });
                }
                None => seen.push(format!("{}: {reason}", folder.display())),
            },
        }
    }
    if let (Some(made_by), false) = (made_by, other_majors.is_empty()) {
        other_majors.dedup();
        let found = other_majors.join(", ");
        return Err(EmbeddedError::WrongMajor { data: data.into(), made_by, found });
    }
    if let Some(bin) = named {
        return Err(EmbeddedError::UnusableBinaries { bin, reason: seen.join("; ") });
    }
    let seen = if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) };
    Err(EmbeddedError::NoBinaries { seen, help: install_help() })
}

/// Asks the programs in a folder what they are, or says why they are of no use.
async fn inspect(folder: &Path, run_as: RunAs) -> Result<Binaries, String> {
    // The real folder: one of links (/usr/local/bin, say) may hold only some of the programs.
    let postgres = folder.join("postgres").canonicalize().map_err(|e| format!("postgres: {e}"))?;
    let dir = postgres.parent().expect("a file has a folder").to_path_buf();
    if !dir.join("initdb").is_file() {
        return Err("there is no initdb beside postgres".into());
    }
    let output = command(&postgres, run_as)
        .arg("--version")
        .output()
        .await
        .map_err(|e| format!("postgres does not run: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match version(&said) {
        Some((version, major)) if output.status.success() => {
            Ok(Binaries { dir, version: version.to_owned(), major })
        }
        _ => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(format!("postgres --version failed ({}): {}", output.status, complaint.trim()))
        }
    }
}

fn command(program: &Path, run_as: RunAs) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(KEPT_ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("LC_ALL", "C").env("TZ", "UTC");
    command.stdin(Stdio::null()).current_dir("/").process_group(0);
    run_as.apply(&mut command);
    command
}

/// The version and its major number, out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(said: &str) -> Option<(&str, u32)> {
    let version = said.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
    Some((version, leading_number(version)?))
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

fn usual_places() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute() && folder.join("postgres").exists())
        .collect();
    for (parent, prefix, programs) in VERSIONED {
        places.extend(newest_first(Path::new(parent), prefix).map(|folder| folder.join(programs)));
    }
    places
}

fn newest_first(parent: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let major = |name: &OsStr| leading_number(name.to_str()?.strip_prefix(prefix)?);
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((major(&entry.file_name())?, entry.path()))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder)
}

fn install_help() -> &'static str {
    if cfg!(target_os = "macos") {
        return "install it with `brew install postgresql@17`";
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let families = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|ids| ids.trim_matches('"').split_whitespace());
    for family in families {
        match family {
            "debian" | "ubuntu" => return "install it with `sudo apt install postgresql`",
            "fedora" | "rhel" => {
                return "install it with `sudo dnf install postgresql-server postgresql-contrib`";
            }
            "alpine" => return "install it with `apk add postgresql postgresql-contrib`",
            "arch" => return "install it with `sudo pacman -S postgresql`",
            "suse" => {
                return "install it with `sudo zypper install postgresql-server postgresql-contrib`";
            }
            _ => {}
        }
    }
    "install it from https://www.postgresql.org/download/"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packagers_write_them() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(("15.18", 15))),
            ("postgres (PostgreSQL) 17.2 (Homebrew)\n", Some(("17.2", 17))),
            ("postgres (PostgreSQL) 18beta1\n", Some(("18beta1", 18))),
            ("postgres (PostgreSQL) devel\n", None),
            ("", None),
        ];

        for (said, expected) in cases {
            assert_eq!(version(said), expected, "{said}");
        }
    }

    #[test]
    fn newer_folders_come_first_by_number_and_not_by_letter() {
        let parent = std::env::temp_dir().join(format!("nadi-versions-{}", std::process::id()));
        for name in ["pgsql-9.6", "pgsql-17", "pgsql-15", "pgsql-next", "other-18"] {
            std::fs::create_dir_all(parent.join(name)).unwrap();
        }

        let found: Vec<PathBuf> = newest_first(&parent, "pgsql-").collect();

        std::fs::remove_dir_all(&parent).unwrap();
        assert_eq!(found, ["pgsql-17", "pgsql-15", "pgsql-9.6"].map(|name| parent.join(name)));
    }
}
