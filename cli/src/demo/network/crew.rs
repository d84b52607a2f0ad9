//! Processes of this program in a folder of their own. However the demonstration ends, none of them is left, nor is
//! the folder.

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::exit::{Failure, INTERRUPTED};
use crate::interrupt;

/// All processes that run.
type Children = Arc<Mutex<Vec<Child>>>;

/// The processes and their folder.
pub(super) struct Crew {
    program: PathBuf,
    folder: TempDir,
    children: Children,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn gather() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()
            .map_err(|source| Failure::file("make a folder in", &std::env::temp_dir(), source))?;
        let program = std::env::current_exe()
            .map_err(|source| Failure::System { what: "find this program", source })?;
        let children = Children::default();
        let (left, path) = (Arc::clone(&children), folder.path().to_owned());
        interrupt::watch(move || {
            end_all(&left);
            // Nothing can be done for a folder that does not go.
            let _ = std::fs::remove_dir_all(path);
            std::process::exit(INTERRUPTED.into());
        })?;
        Ok(Self { program, folder, children })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder());
        // A terminal of this machine's own has nothing to do with this one.
        for name in ["ONETAP_TOKEN", "ONETAP_CERT", "ONETAP_KEY"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts one.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Process, Failure> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| Failure::System { what: "start a process", source };
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut children = lock(&self.children);
        let number = children.len();
        children.push(child);
        drop(children);
        let (Some(keyboard), Some(out), Some(err)) = pipes else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let lines = BufReader::new(out).lines();
        Ok(Process { children: Arc::clone(&self.children), number, keyboard, lines, err: Some(err) })
    }

    /// Runs one to its end; what it says.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.command(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.map_err(|source| Failure::System { what: "start a process", source })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        end_all(&self.children);
    }
}

fn lock(children: &Mutex<Vec<Child>>) -> MutexGuard<'_, Vec<Child>> {
    children.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end_all(children: &Mutex<Vec<Child>>) {
    for child in lock(children).iter_mut() {
        // One that has ended already needs no more.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// One of them.
pub(super) struct Process {
    children: Children,
    number: usize,
    keyboard: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    err: Option<std::process::ChildStderr>,
}

impl Process {
    /// Its next line; none once it has ended.
    pub(super) fn line(&mut self) -> Option<String> {
        self.lines.next().and_then(Result::ok)
    }

    /// Its next line, which is JSON.
    pub(super) fn json(&mut self) -> Result<Value, Failure> {
        let line = self.line().ok_or_else(|| Failure::NotAsExpected(self.complaint()))?;
        Ok(serde_json::from_str(&line).unwrap_or_default())
    }

    pub(super) fn type_in(&mut self, line: &str) -> Result<(), Failure> {
        let typed = writeln!(self.keyboard, "{line}").and_then(|()| self.keyboard.flush());
        typed.map_err(|source| Failure::System { what: "type", source })
    }

    /// Waits for its end.
    pub(super) fn ended_well(&self) -> Result<bool, Failure> {
        let mut children = lock(&self.children);
        let ended = children.get_mut(self.number).map(Child::wait).transpose();
        let ended = ended.map_err(|source| Failure::System { what: "wait for a process", source })?;
        Ok(ended.is_some_and(|status| status.success()))
    }

    /// What it said on standard error, once it has ended.
    pub(super) fn complaint(&mut self) -> String {
        let mut said = String::new();
        if let Some(mut err) = self.err.take() {
            // Half of it is better than none.
            let _ = err.read_to_string(&mut said);
        }
        said.trim().to_owned()
    }
}
