//! Other programs of this machine that cards and readers meet: who has a socket, which card is in a slot of vpcd, and
//! what pcscd is told of its readers. Linux tells it in `/proc`, of other users' programs only to root; what is not
//! told is left out.

mod drivers;
mod slot;

use std::fmt;
use std::path::Path;
use std::process::Command;

use procfs::process::{FDTarget, Process, all_processes};
use serde::Serialize;

pub(crate) use drivers::{Driver, drivers};
pub(crate) use slot::{Slot, is_networked};

/// A program that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Program {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

impl fmt::Display for Program {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

impl Program {
    fn of(process: &Process) -> Option<Self> {
        Some(Self { pid: process.pid, name: process.stat().ok()?.comm })
    }
}

/// The program, or that it cannot be learnt.
pub(crate) fn name(program: Option<&Program>) -> String {
    program.map_or_else(|| "a program that this user may not see".to_owned(), Program::to_string)
}

/// The programs that have one of these sockets open.
fn holders(sockets: &[u64]) -> Vec<Program> {
    let has = |process: &Process| {
        let open = process.fd().into_iter().flatten().flatten();
        let mut sockets_of_it = open.filter_map(|fd| match fd.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        });
        sockets_of_it.any(|inode| sockets.contains(&inode))
    };
    if sockets.is_empty() {
        return Vec::new();
    }
    let all = all_processes().into_iter().flatten().flatten();
    all.filter(has).filter_map(|process| Program::of(&process)).collect()
}

/// Other programs that are connected to this Unix socket. Which socket is whose peer the kernel tells to `ss` only,
/// not in `/proc`.
pub(crate) fn clients(of: &Path) -> Vec<Program> {
    let listed = Command::new("ss").args(["--unix", "--no-header"]).output();
    let listed = listed.map(|output| output.stdout).unwrap_or_default();
    let of = of.to_string_lossy();
    let peers: Vec<u64> =
        String::from_utf8_lossy(&listed).lines().filter_map(|line| peer(line, &of)).collect();
    let own = i32::try_from(std::process::id());
    holders(&peers).into_iter().filter(|program| Ok(program.pid) != own).collect()
}

/// The other end's inode, if a line of `ss` is about a connection to the socket of this path:
/// `u_str ESTAB 0 0 /run/pcscd/pcscd.comm 52163 * 52162`.
fn peer(line: &str, path: &str) -> Option<u64> {
    let [_, _, _, _, local, _, _, peer] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    (local == path).then(|| peer.parse().ok()).flatten()
}

/// The PC/SC daemon that runs.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    pub(crate) program: Program,
    options: Vec<String>,
}

impl Daemon {
    /// Where pcscd notes its process.
    const PID_FILE: &str = "/run/pcscd/pcscd.pid";

    /// The one that has noted itself, if it still runs.
    pub(crate) fn find() -> Option<Self> {
        let noted = std::fs::read_to_string(Self::PID_FILE).ok()?;
        let process = Process::new(noted.trim_matches(['\0', '\n', ' ']).parse().ok()?).ok()?;
        let program = Program::of(&process).filter(|program| program.name == "pcscd")?;
        Some(Self { program, options: process.cmdline().ok()? })
    }

    /// Whether it ends when no program has used it for a minute.
    pub(crate) fn ends_when_idle(&self) -> bool {
        self.options.iter().any(|option| option == "--auto-exit" || option == "-x")
    }

    /// The folder of its readers, if it was told one.
    fn readers(&self) -> Option<&Path> {
        let at = self.options.iter().position(|option| option == "--config" || option == "-c")?;
        self.options.get(at + 1).map(Path::new)
    }
}

#[cfg(test)]
mod tests {
    use super::peer;

    #[test]
    fn a_line_about_another_socket_names_no_peer() {
        let line = "u_str ESTAB 0      0      /run/pcscd/pcscd.comm 52163            * 52162";
        assert_eq!(peer(line, "/run/pcscd/pcscd.comm"), Some(52162));
        assert_eq!(peer(line, "/run/dbus/system_bus_socket"), None);
        assert_eq!(
            peer("u_str LISTEN 0 128 /run/pcscd/pcscd.comm 1 * 0 more", "/run/pcscd/pcscd.comm"),
            None
        );
        assert_eq!(peer("", "/run/pcscd/pcscd.comm"), None);
    }
}
