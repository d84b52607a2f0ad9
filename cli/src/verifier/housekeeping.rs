//! What a serving verifier does every hour: forget old answers, write a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onetap_server_verifier::{Act, Actor, Background, Verifier, causes};

use crate::exit::Failure;
use crate::files::{NewFile, Secrecy};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Keeps house until it is dropped. The first round is at once, so that a folder that cannot be written shows when
/// the service starts.
pub(super) fn keep_house(
    verifier: Arc<Verifier>,
    checkpoints: Option<PathBuf>,
) -> Result<Background, Failure> {
    round(&verifier, checkpoints.as_deref())?;
    let again = move || {
        if let Err(error) = round(&verifier, checkpoints.as_deref()) {
            tracing::error!(error = causes(&error), "housekeeping failed; it is tried again in an hour");
        }
        HOUR
    };
    let started = Background::start("onetap-house", HOUR, again);
    started.map_err(|source| Failure::System { what: "start a thread", source })
}

fn round(verifier: &Verifier, checkpoints: Option<&Path>) -> Result<(), Failure> {
    let forgotten = verifier.forget_answers()?;
    tracing::info!(forgotten, "answers older than a day are forgotten");
    let Some(folder) = checkpoints else {
        return Ok(());
    };
    let name = format!("{}.checkpoint.jsonl", verifier.now()).replace(':', "");
    let file = folder.join(name);
    let written = NewFile::create(&file, Secrecy::Public)?
        .fill(|out| Ok(verifier.desk(Act::plain(Actor::Server)).checkpoint(out)?))?;
    tracing::info!(chains = written.chains, "a checkpoint was written");
    Ok(())
}
