//! What a serving verifier does every hour: forget old answers, write a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use onetap_server_verifier::Verifier;

use crate::exit::Failure;
use crate::files::{NewFile, Secrecy};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Keeps house until it is dropped.
pub(super) struct Housekeeping {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// The first round is at once, so that a folder that cannot be written shows when the service starts.
    pub(super) fn start(verifier: Arc<Verifier>, checkpoints: Option<PathBuf>) -> Result<Self, Failure> {
        round(&verifier, checkpoints.as_deref())?;
        let (stop, stopped) = channel::<()>();
        let work = move || {
            while stopped.recv_timeout(HOUR) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = round(&verifier, checkpoints.as_deref()) {
                    tracing::error!(%error, "housekeeping failed; it is tried again in an hour");
                }
            }
        };
        let thread = std::thread::Builder::new().name("onetap-house".to_owned()).spawn(work);
        let thread = thread.map_err(|source| Failure::System { what: "start a thread", source })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // What a panic there left undone is done when the service starts again.
            let _ended = thread.join();
        }
    }
}

fn round(verifier: &Verifier, checkpoints: Option<&Path>) -> Result<(), Failure> {
    let forgotten = verifier.forget_answers()?;
    tracing::info!(forgotten, "answers older than a day are forgotten");
    let Some(folder) = checkpoints else {
        return Ok(());
    };
    let name = format!("{}.checkpoint.jsonl", verifier.now()).replace(':', "");
    let file = folder.join(name);
    let written = NewFile::create(&file, Secrecy::Public)?.fill(|out| Ok(verifier.checkpoint(out)?))?;
    tracing::info!(chains = written.chains, "a checkpoint was written");
    Ok(())
}
