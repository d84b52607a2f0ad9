//! Another program that uses the same reader: this test binary again, in a process of its own.

use std::ffi::CString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use pcsc::{Context, MAX_BUFFER_SIZE, Protocols, Scope, ShareMode};

/// Set for the other program: what it does, and with which reader.
const ROLE: &str = "ONETAP_TEST_OTHER";

/// What another program does with the card.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// Is connected beside others.
    Connected,
    /// Is connected and has begun a transaction.
    InTransaction,
    /// Has the card to itself.
    Exclusive,
    /// Has the card to itself and sends it a command.
    InCommand,
}

pub(crate) struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    /// Starts it and waits until it has what it wants.
    pub(crate) fn start(role: Role, reader: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["other::program", "--exact", "--nocapture"])
            .env(ROLE, format!("{role:?}={reader}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut other = Self { output: BufReader::new(child.stdout.take().unwrap()), child };
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert_ne!(other.output.read_line(&mut line).unwrap(), 0, "the other program ended");
        }
        other
    }

    /// Ends it in the ordinary way.
    pub(crate) fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends it at once, wherever it is.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other program does; as a test of its own it is nothing.
#[test]
fn program() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, reader) = role.split_once('=').unwrap();
    let context = Context::establish(Scope::User).unwrap();
    let share = match role {
        "Connected" | "InTransaction" => ShareMode::Shared,
        _ => ShareMode::Exclusive,
    };
    let mut card = context.connect(&CString::new(reader).unwrap(), share, Protocols::ANY).unwrap();
    let until_told = || std::io::stdin().read_to_end(&mut Vec::new());
    match role {
        "InTransaction" => {
            let _transaction = card.transaction().unwrap();
            println!("ready");
            let _ = until_told();
        }
        "InCommand" => {
            println!("ready");
            let _ = card.transmit(&[0; 4], &mut [0; MAX_BUFFER_SIZE]);
        }
        _ => {
            println!("ready");
            let _ = until_told();
        }
    }
}
