//! A child process that ends when this process ends, even by kill -9.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A child that the kernel signals as soon as the thread that started it is gone. That thread does nothing but wait
/// for this value to be dropped, so the child lives as long as this value, whatever becomes of the caller's thread.
#[derive(Debug)]
pub struct Kept {
    child: Child,
    _keeper: Sender<()>,
}

impl Kept {
    /// Starts `command`, which must be a `setpriv --pdeathsig` (see [`orphan_ends_by`]) or set the signal itself.
    ///
    /// # Errors
    /// Whatever starting a process may fail with.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let (keeper, dropped) = channel::<()>();
        let (sender, started) = channel();
        thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            // Nobody to tell: the caller's thread panicked.
            let _ = sender.send(command.spawn());
            // Ends with an error, when the other end is dropped.
            let _ = dropped.recv();
        })?;
        let child = started.recv().map_err(|_| io::Error::other("the keeper panicked"))??;
        Ok(Self { child, _keeper: keeper })
    }

    /// The process: its pipes, its id.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// kill -9, and waits until it is gone.
    ///
    /// # Errors
    /// Whatever waiting may fail with.
    pub fn kill9(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Where it is gone already there is nothing to do.
        let _ = self.kill9();
    }
}

/// `program`, signalled with `signal` (`KILL`, `QUIT` …) when the thread that started it ends. Needs util-linux.
#[must_use]
pub fn orphan_ends_by(signal: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]).arg(program);
    command
}
