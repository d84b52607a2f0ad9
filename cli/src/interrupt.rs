//! Ctrl-C and SIGTERM: what was begun is ended in order. SIGHUP: a service reads again what it was started with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::exit::{Failure, INTERRUPTED};

/// What the system or a person wants of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It is to end.
    End,
    /// It is to read its files again.
    Reload,
}

/// Calls `end` at the first of these signals, in a thread of its own. A second Ctrl-C ends the process at once; a second
/// SIGTERM changes nothing, since timeout(1) and others send two.
pub(crate) fn watch(end: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut signals = catch(&[SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            end();
        }
    });
    Ok(())
}

/// What is wanted of a service, one wish after another. A second Ctrl-C ends the process at once.
pub(crate) fn wishes() -> Result<Receiver<Wish>, Failure> {
    let mut signals = catch(&[SIGINT, SIGTERM, SIGHUP])?;
    let (tell, told) = channel();
    thread::spawn(move || {
        let wish = |signal| if signal == SIGHUP { Wish::Reload } else { Wish::End };
        // Until nobody listens any more.
        signals.forever().map(wish).try_for_each(|wish| tell.send(wish))
    });
    Ok(told)
}

fn catch(signals: &[i32]) -> Result<Signals, Failure> {
    let caught = || -> io::Result<Signals> {
        let again = Arc::new(AtomicBool::new(false));
        // In this order: the first Ctrl-C sets what makes the second one end the process.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&again))?;
        flag::register(SIGINT, again)?;
        Signals::new(signals)
    };
    caught().map_err(|source| Failure::System { what: "catch signals", source })
}

/// At the first of these signals, removes this folder and ends the process.
pub(crate) fn remove_and_exit(folder: PathBuf) -> Result<(), Failure> {
    watch(move || {
        // Nothing can be done for a folder that does not go.
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(INTERRUPTED.into());
    })
}
