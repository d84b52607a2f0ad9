//! A PostgreSQL server of our own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::RigError;
use crate::kept::Kept;
use crate::user::User;

const INSTALLED: &str = "/usr/lib/postgresql";
const MISSING: RigError = RigError::Missing("PostgreSQL in /usr/lib/postgresql/*/bin");
pub(crate) const SUPERUSER: &str = "postgres";
/// Name of the folders, followed by the id of the process that made them.
const PREFIX: &str = "onetap-postgres-";
/// Longest time for a start, recovery of a large log included, or for a stop.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// How a server is set, besides what any production server would have: see [`Cluster::start`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Waits for the disk before it answers, as in production. Off only where neither crash nor time matters.
    pub fsync: bool,
    /// `shared_buffers`, MiB. In production a quarter of the memory.
    pub shared_buffers: u32,
    /// Any others, by name.
    pub others: Vec<(String, String)>,
}

impl Settings {
    /// For benchmarks and for tests in which something crashes.
    #[must_use]
    pub fn production() -> Self {
        Self { fsync: true, shared_buffers: 1024, others: vec![] }
    }

    /// For tests: small, and quick where the disk is slow.
    #[must_use]
    pub fn quick() -> Self {
        Self { fsync: false, shared_buffers: 64, others: vec![] }
    }

    fn all(&self) -> Vec<(String, String)> {
        let memory = format!("{}MB", self.shared_buffers);
        let fixed = [
            ("listen_addresses", ""),
            ("fsync", if self.fsync { "on" } else { "off" }),
            ("synchronous_commit", "on"),
            ("shared_buffers", &memory),
            ("max_connections", "200"),
            ("max_wal_size", "4GB"),
            ("wal_compression", "lz4"),
            ("checkpoint_timeout", "15min"),
            ("random_page_cost", "1.1"),
            ("log_min_messages", "warning"),
        ];
        let fixed = fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        fixed.chain(self.others.iter().cloned()).collect()
    }
}

/// A running server; ended and removed when it is dropped, ended when this process ends.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    /// Apart, since the path of a socket must be short.
    socket: TempDir,
    user: User,
    settings: Settings,
    server: Option<Kept>,
    databases: AtomicU64,
}

impl Cluster {
    /// A new server in a new folder of `parent`. Production's settings where time or safety depend on them: a log
    /// of 4 GB between checkpoints, compressed; commits wait for the disk if `settings` say so.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn start(parent: &Path, settings: Settings) -> Result<Self, RigError> {
        let mut cluster = Self::in_new_folder(parent, settings)?;
        let mut initdb = cluster.program("initdb")?;
        initdb.args([
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
        ]);
        if !cluster.settings.fsync {
            initdb.arg("--no-sync");
        }
        checked(initdb.arg("--pgdata").arg(cluster.data()))?;
        cluster.restart()?;
        Ok(cluster)
    }

    /// The one server of this process, quick and small, for tests that need no more than a database of their own.
    ///
    /// # Errors
    /// The [`RigError`] that the first call met.
    pub fn shared() -> Result<&'static Self, &'static RigError> {
        static SHARED: OnceLock<Result<Cluster, RigError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&scratch()?, Settings::quick())).as_ref()
    }

    pub(crate) fn in_new_folder(parent: &Path, settings: Settings) -> Result<Self, RigError> {
        fs::create_dir_all(parent).map_err(RigError::io(parent.display().to_string()))?;
        sweep(parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let made = |parent: &Path| {
            tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).map_err(RigError::io("a new folder"))
        };
        let (folder, socket) = (made(parent)?, made(&std::env::temp_dir())?);
        let user = User::for_folder(folder.path())?;
        User::for_folder(socket.path())?;
        Ok(Self { folder, socket, user, settings, server: None, databases: AtomicU64::new(0) })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the server writes what it has to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The folder of its socket: what libpq calls the host.
    #[must_use]
    pub fn host(&self) -> &Path {
        self.socket.path()
    }

    /// How to reach `database` as the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@{}/{database}", escaped(&self.host().to_string_lossy()))
    }

    /// Starts the server after [`Cluster::kill9`] or [`Cluster::stop`], and waits until it answers. What is left of
    /// a killed one may take a moment to go away.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn restart(&mut self) -> Result<(), RigError> {
        self.server = None;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut server = self.launch()?;
            while Instant::now() < deadline {
                if self.answers()? {
                    self.server = Some(server);
                    return Ok(());
                }
                if server.process().try_wait().map_err(RigError::io("postgres"))?.is_some() {
                    break;
                }
                thread::sleep(POLL);
            }
            if Instant::now() >= deadline {
                return Err(self.too_late("answer"));
            }
            thread::sleep(POLL);
        }
    }

    fn launch(&self) -> Result<Kept, RigError> {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.map_err(RigError::io(self.log().display().to_string()))?;
        let errors = log.try_clone().map_err(RigError::io("the log"))?;
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data()).arg("-k").arg(self.host());
        for (name, value) in self.settings.all() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Kept::start(command).map_err(RigError::io("postgres"))
    }

    fn answers(&self) -> Result<bool, RigError> {
        let mut command = self.program("pg_isready")?;
        let output = command.arg("--quiet").output().map_err(RigError::io("pg_isready"))?;
        Ok(output.status.success())
    }

    /// kill -9 of the server. Its other processes notice, and end by themselves.
    ///
    /// # Errors
    /// [`RigError::Io`].
    pub fn kill9(&mut self) -> Result<(), RigError> {
        if let Some(mut server) = self.server.take() {
            server.kill9().map_err(RigError::io("kill -9 of postgres"))?;
        }
        Ok(())
    }

    /// Ends the server as an operator would: connections are cut, everything is written.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn stop(&mut self) -> Result<(), RigError> {
        self.end("fast")
    }

    fn end(&mut self, mode: &str) -> Result<(), RigError> {
        if self.server.is_some() {
            checked(self.program("pg_ctl")?.args(["stop", "-m", mode, "-D"]).arg(self.data()))?;
        }
        self.server = None;
        Ok(())
    }

    /// A new, empty database; with `template`, a copy of that one, to which nobody may be connected.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn database(&self, template: Option<&str>) -> Result<String, RigError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template1");
        self.sql(SUPERUSER, &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(name)
    }

    /// What `psql` prints for `sql`, unaligned, without headings.
    ///
    /// # Errors
    /// [`RigError::Failed`], with what the server says.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, RigError> {
        let mut psql = self.program("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        let output = checked(psql.args(["-d", database, "-c", sql]))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A program of PostgreSQL (`pgbench`, `pg_dump` …) that finds this server by itself.
    ///
    /// # Errors
    /// [`RigError::Missing`].
    pub fn program(&self, name: &str) -> Result<Command, RigError> {
        let mut command = self.user.command(programs()?.join(name));
        command.env("PGHOST", self.host()).env("PGUSER", SUPERUSER).env("PGDATABASE", SUPERUSER);
        command.env("LC_ALL", "C.UTF-8").env_remove("PGPORT");
        Ok(command)
    }

    pub(crate) fn too_late(&self, what: &'static str) -> RigError {
        RigError::TooLate { what, log: self.log() }
    }

    /// Waits until `sql`, in the superuser's database, gives `wanted`.
    pub(crate) fn until(&self, sql: &str, wanted: &str, what: &'static str) -> Result<(), RigError> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if self.sql(SUPERUSER, sql)? == wanted {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(self.too_late(what))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // So that nothing writes into the folder while it is removed. What cannot be removed, a later run removes.
        let _ = self.end("immediate");
    }
}

/// Runs it; an error holds all that it printed.
pub(crate) fn checked(command: &mut Command) -> Result<Output, RigError> {
    let output = command.stdin(Stdio::null()).output().map_err(RigError::io("a program of PostgreSQL"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(RigError::Failed {
        command: format!("{command:?}"),
        output: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// The newest version that is installed.
fn programs() -> Result<PathBuf, RigError> {
    let versions = fs::read_dir(INSTALLED).map_err(|_| MISSING)?.flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))));
    let newest = found.filter(|(_, programs)| programs.join("postgres").exists()).max();
    newest.map(|(_, programs)| programs).ok_or(MISSING)
}

/// A folder for what is made while a program under `target/` runs: on the disk that it was built on.
///
/// # Errors
/// [`RigError::Io`].
pub fn scratch() -> Result<PathBuf, RigError> {
    let program = std::env::current_exe().map_err(RigError::io("this program"))?;
    let target = program.ancestors().find(|path| path.ends_with("target")).map(Path::to_owned);
    Ok(target.unwrap_or_else(std::env::temp_dir).join("tmp"))
}

/// Removes what earlier processes left that were killed. What cannot be removed is somebody else's.
fn sweep(parent: &Path) {
    for entry in
        [parent, &std::env::temp_dir()].into_iter().filter_map(|path| fs::read_dir(path).ok()).flatten()
    {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(process) = process.and_then(|id| id.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(process.to_string()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Percent-encoded (RFC 3986 §2.1), as a host within a URL.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(each).collect()
}
