//! The life of an embedded server: made in one piece, started or taken over, stopped by the last process that uses it.
//! Two locks, which the system frees when a process dies: `lock` while starting or stopping, `users` (shared) while in use.

use std::fs::{File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::place::{PORT, Place, remove_if_there};
use super::postmaster::{GLANCE, PidFile, Postmaster, is_alive, is_postmaster};
use super::{AtPath, EmbeddedError, Settings};

/// Who owns the server; our own code signs in as it for nothing but repairs.
const SUPERUSER: &str = "postgres";
/// The provisioning role: makes databases and roles, and is no superuser.
const PROVISIONER: &str = "nadi";
const ROLES: &str = include_str!("provisioning_role.sql");

/// After a crash the server first replays its log.
const START_WITHIN: Duration = Duration::from_secs(120);

/// A running PostgreSQL. Dropped, it is told to stop, unless another process uses it.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    socket_dir: PathBuf,
    superuser_password: SecretString,
    provisioner_password: SecretString,
    postmaster: Option<Postmaster>,
    users: File,
    taken_over: bool,
}

impl Cluster {
    /// Makes the server if there is none, and starts it; one that runs already (its starter was killed, or shares it) is taken over.
    pub async fn start(settings: Settings) -> Result<Cluster, EmbeddedError> {
        let place = Place::settle(&settings).await?;
        let _starting = lock(&place).await?;
        remove_half_made(&place);
        let data = place.data();
        if !data.join("PG_VERSION").exists() {
            init(&place, &settings).await?;
        }
        let users = place.lock_file("users")?;
        let (postmaster, socket_dir, taken_over) = match running(&data).await? {
            Some(found) => {
                (Postmaster::taken_over(found.pid, data.clone()), found.socket_dir, true)
            }
            // In use, but not to be seen: it runs in another container, where its process ids mean nothing to us.
            None if !try_lock(&users) => return Err(EmbeddedError::InUse(place.dir)),
            None => {
                let socket_dir = place.socket_dir()?;
                (launch(&place, &settings, &socket_dir).await?, socket_dir, false)
            }
        };
        users.unlock().at("unlock", &place.dir.join("users"))?;
        users.lock_shared().at("lock", &place.dir.join("users"))?;
        Ok(Cluster {
            superuser_password: read_password(&place, SUPERUSER)?,
            provisioner_password: read_password(&place, PROVISIONER)?,
            place,
            socket_dir,
            postmaster: Some(postmaster),
            users,
            taken_over,
        })
    }

    /// The folder that everything is in. As root it may be another than the one asked for.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// How psql and sqlx reach this database as the provisioning role.
    pub fn url(&self, database: &str) -> String {
        self.url_of(PROVISIONER, &self.provisioner_password, database)
    }

    /// How psql and sqlx reach this database as the superuser.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url_of(SUPERUSER, &self.superuser_password, database)
    }

    /// Whether the server ran already.
    pub fn was_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Stops the server and waits for it; one that another process uses is left running.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        let _stopping = lock(&self.place).await?;
        let Some(mut postmaster) = self.postmaster.take() else { return Ok(()) };
        if self.is_last_user() {
            postmaster.stop().await
        } else {
            postmaster.release();
            Ok(())
        }
    }

    /// Lets go of the server without stopping it: the next start takes it over.
    pub fn leave_running(mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.release();
        }
    }

    /// Stops the server of these settings, whoever started it, and removes all that it kept. Refuses while a process uses it.
    pub async fn destroy(settings: &Settings) -> Result<(), EmbeddedError> {
        let place = Place::settle(settings).await?;
        let _stopping = lock(&place).await?;
        if !try_lock(&place.lock_file("users")?) {
            return Err(EmbeddedError::InUse(place.dir));
        }
        let data = place.data();
        let socket_dir = place.socket_dir()?;
        if let Some(found) = running(&data).await? {
            Postmaster::taken_over(found.pid, data.clone()).stop().await?;
        }
        remove_half_made(&place);
        // The data goes first: without it, a password file is a leftover that the next start replaces.
        remove_if_there(&data)?;
        remove_if_there(&socket_dir)?;
        remove_if_there(&place.password_file(SUPERUSER))?;
        remove_if_there(&place.password_file(PROVISIONER))?;
        remove_if_there(&place.log())
    }

    /// The host of the authority is overruled by the parameter; it stands there because sqlx's parser wants one beside a user.
    fn url_of(&self, role: &str, password: &SecretString, database: &str) -> String {
        let password = password.expose_secret();
        let database = percent_encode(database.as_bytes());
        let host = percent_encode(self.socket_dir.as_os_str().as_bytes());
        format!(
            "postgresql://{role}:{password}@localhost:{PORT}/{database}?host={host}&sslmode=disable"
        )
    }

    /// Gives up our share, and asks whether that was the last. Call it with `lock` held, so that nobody comes in between.
    fn is_last_user(&self) -> bool {
        self.users.unlock().is_ok() && try_lock(&self.users)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        // No waiting here: whoever holds the lock is about to use the server, or to stop it.
        let lock = self.place.lock_file("lock").ok().filter(try_lock);
        if lock.is_none() || !self.is_last_user() {
            postmaster.release();
        }
        drop(postmaster); // before the lock goes
    }
}

/// One starts or stops at a time; the lock goes with the file.
async fn lock(place: &Place) -> Result<File, EmbeddedError> {
    let file = place.lock_file("lock")?;
    let path = place.dir.join("lock");
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(std::io::Error::other).flatten().at("lock", &path)
}

fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "could not lock; taken as held by another process");
            false
        }
    }
}

/// A server is made beside its place and moved there whole, with its roles: a kill leaves nothing that looks finished.
async fn init(place: &Place, settings: &Settings) -> Result<(), EmbeddedError> {
    // A name of its own: the programs of a killed start may still be at work in theirs.
    let making = place.dir.join(format!("making-{}", &fresh_password()?[..12]));
    place.make_folder(&making)?;
    let password = fresh_password()?;
    place.write_private(&place.password_file(SUPERUSER), &fresh_password()?)?;
    place.write_private(&place.password_file(PROVISIONER), &password)?;

    let mut initdb = place.binaries.command("initdb", place.run_as);
    initdb.arg("-D").arg(&making).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"]);
    initdb.args(["-A", "scram-sha-256", "--data-checksums", "--pwfile"]);
    initdb.arg(place.password_file(SUPERUSER));
    if settings.gives_up_durability() {
        initdb.arg("--no-sync");
    }
    run_to_end(initdb, "").await?;

    // In single-user mode no server has to be up: there is no moment with half of the roles.
    let statements = format!("{ROLES}alter role {PROVISIONER} password '{password}';\n");
    let mut single_user = place.binaries.command("postgres", place.run_as);
    single_user.arg("--single").arg("-D").arg(&making).args(["-c", "exit_on_error=on"]);
    if settings.gives_up_durability() {
        single_user.arg("-F");
    }
    single_user.arg("postgres");
    run_to_end(single_user, &statements).await?;

    let data = place.data();
    std::fs::rename(&making, &data).at("move into place", &making)?;
    File::open(&place.dir).and_then(|dir| dir.sync_all()).at("sync", &place.dir)
}

/// Runs one of the steps of `init`; its words are the error's.
async fn run_to_end(
    mut command: tokio::process::Command,
    input: &str,
) -> Result<(), EmbeddedError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |error: std::io::Error| EmbeddedError::Init(error.to_string());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A program that gives up early closes its input; its words, not the broken pipe, are then the error.
    let written = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        return Err(EmbeddedError::Init(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    written.map_err(failed)
}

/// What a killed `init` left. Its orphans may still write there for a moment: then the next start removes the rest.
fn remove_half_made(place: &Place) {
    let entries = std::fs::read_dir(&place.dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("making-"))
    {
        if let Err(error) = remove_if_there(&entry.path()) {
            tracing::warn!(%error, "a half-made server is still there");
        }
    }
}

/// The server that runs on this data. Waits for one that comes up or goes down; clears what a dead one left, if PostgreSQL would not.
async fn running(data: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    let deadline = Instant::now() + START_WITHIN;
    loop {
        match PidFile::read(data) {
            Some(found) if is_postmaster(found.pid, data) => {
                if found.ready {
                    return Ok(Some(found));
                }
                if Instant::now() > deadline {
                    let seconds = START_WITHIN.as_secs();
                    return Err(EmbeddedError::Stop { pid: found.pid, seconds });
                }
                sleep(GLANCE).await;
            }
            // PostgreSQL knows a dead process's file and uses it to check that no child lives on. Only where the
            // number has gone to another process would it believe in that one and refuse.
            Some(stale) if !is_alive(stale.pid) => return Ok(None),
            _ => {
                remove_if_there(&PidFile::path(data))?;
                return Ok(None);
            }
        }
    }
}

async fn launch(
    place: &Place,
    settings: &Settings,
    socket_dir: &Path,
) -> Result<Postmaster, EmbeddedError> {
    let deadline = Instant::now() + START_WITHIN;
    let data = place.data();
    loop {
        let log = place.write_private(&place.log(), "")?;
        let log_too = log.try_clone().at("open", &place.log())?;
        let mut command = place.binaries.command("postgres", place.run_as);
        command.arg("-D").arg(&data).arg("-p").arg(PORT.to_string());
        let quoted = socket_dir.to_string_lossy().replace('"', "\"\"");
        command.arg("-c").arg(format!("unix_socket_directories=\"{quoted}\""));
        command.args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]);
        for (name, value) in &settings.extra {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(log).stderr(log_too);
        let child = command.spawn().at("start PostgreSQL in", &data)?;
        let mut postmaster =
            Postmaster::started(child, data.clone()).at("start PostgreSQL in", &data)?;

        while !postmaster.has_ended() && Instant::now() < deadline {
            let pid = postmaster.pid();
            if PidFile::read(&data).is_some_and(|found| found.ready && found.pid == pid) {
                return Ok(postmaster);
            }
            sleep(GLANCE).await;
        }
        let tail = last_lines(&place.log());
        // Children of a server that was killed outright need a moment to notice.
        let waits_for_orphans = tail.contains("is still in use") && postmaster.has_ended();
        if !waits_for_orphans || Instant::now() >= deadline {
            return Err(EmbeddedError::Start { log: place.log(), tail });
        }
        sleep(10 * GLANCE).await;
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn read_password(place: &Place, role: &str) -> Result<SecretString, EmbeddedError> {
    let path = place.password_file(role);
    Ok(std::fs::read_to_string(&path).at("read the password in", &path)?.into())
}

/// 192 random bits of the system's, in hexadecimal digits, so that nothing needs quoting.
fn fresh_password() -> Result<String, EmbeddedError> {
    let mut bytes = [0; 24];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| EmbeddedError::Init(format!("the system has no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As both psql and sqlx read it: a space is `%20`, never `+`.
fn percent_encode(bytes: &[u8]) -> String {
    url::form_urlencoded::byte_serialize(bytes).collect::<String>().replace('+', "%20")
}
