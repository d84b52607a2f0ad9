//! pgbouncer between a server and its clients.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::RigError;
use crate::cluster::{Cluster, DEADLINE, POLL, escaped};
use crate::kept::Kept;
use crate::user::User;

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A running pgbouncer; ended and removed when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    folder: TempDir,
    _process: Kept,
}

impl Pooler {
    /// Starts one before `cluster`, that lets `roles` in, without passwords, to every database. All else but `mode`, its
    /// `pool_mode`, is as pgbouncer comes.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn start(cluster: &Cluster, mode: &str, roles: &[&str]) -> Result<Self, RigError> {
        if !Path::new(PROGRAM).exists() {
            return Err(RigError::Missing("pgbouncer in /usr/sbin"));
        }
        let folder = tempfile::tempdir().map_err(RigError::io("a new folder"))?;
        let user = User::for_folder(folder.path())?;
        let path = |name: &str| folder.path().join(name);
        let here = folder.path().display();
        let settings = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nunix_socket_dir = {here}\nlisten_port = 5432\n\
             auth_type = trust\nauth_file = {here}/roles\npool_mode = {mode}\nlogfile = {here}/log\n",
            cluster.host().display()
        );
        let roles: String = roles.iter().map(|role| format!("\"{role}\" \"\"\n")).collect();
        for (name, text) in [("pgbouncer.ini", &settings), ("roles", &roles)] {
            fs::write(path(name), text).map_err(RigError::io(name))?;
        }
        let mut command = user.command(PROGRAM);
        command.arg("--quiet").arg(path("pgbouncer.ini"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Kept::start(command).map_err(RigError::io(PROGRAM))?;
        let deadline = Instant::now() + DEADLINE;
        while UnixStream::connect(path(".s.PGSQL.5432")).is_err() {
            if Instant::now() >= deadline {
                return Err(RigError::TooLate { what: "pooler", log: path("log") });
            }
            thread::sleep(POLL);
        }
        Ok(Self { folder, _process: process })
    }

    /// How to reach `database` by way of it.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgresql://{role}@{}/{database}", escaped(&self.folder.path().to_string_lossy()))
    }
}
