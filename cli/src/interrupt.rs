//! Ctrl-C and SIGTERM: what was begun is ended in order.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::exit::{Failure, INTERRUPTED};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Calls `end` at the first of these signals, in a thread of its own. The second one ends the process at once.
pub(crate) fn watch(end: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut signals = catch().map_err(|source| Failure::System { what: "catch signals", source })?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            end();
        }
    });
    Ok(())
}

fn catch() -> io::Result<Signals> {
    let again = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        // In this order: the first signal sets what makes the second one end the process.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
    }
    Signals::new(SIGNALS)
}

/// At the first of these signals, removes this folder and ends the process.
pub(crate) fn remove_and_exit(folder: PathBuf) -> Result<(), Failure> {
    watch(move || {
        // Nothing can be done for a folder that does not go.
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(INTERRUPTED.into());
    })
}
