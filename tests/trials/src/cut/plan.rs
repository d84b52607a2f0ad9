//! How much is done, and why nothing comes of it.

use onetap_apdu_spec::crypto::CryptoError;
use onetap_recording_vfs::InstallError;
use onetap_server_verifier::ServiceError;

use super::disk::Syncs;

/// How much is done, and how it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides what is drawn and what arrives.
    pub seed: u64,
    /// Accounts that are worked with at the same time.
    pub threads: usize,
    /// Accounts that ask all at once, so that their decisions share a commit.
    pub crowd: usize,
    /// How often everything is done; the verifier is closed and opened in between.
    pub rounds: usize,
    /// Random images at each place, of each kind.
    pub random: usize,
    /// One image in so many is worked on, and the power is cut at every place of that too; 0: none.
    pub twice: usize,
    /// Which syncs count.
    pub syncs: Syncs,
    /// Each acknowledgement is taken to have come before the sync that came before it: a mistake that must be
    /// found.
    pub acknowledged_early: bool,
}

impl Plan {
    /// A verifier as it should be.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (threads, crowd, rounds, random, twice) = (1, 0, 2, 1, 200);
        Self { seed, threads, crowd, rounds, random, twice, syncs: Syncs::Kept, acknowledged_early: false }
    }
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// The recording file system.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The folders.
    #[error("the folders for the images: {0}")]
    Io(#[from] std::io::Error),
    /// The verifier.
    #[error(transparent)]
    Server(#[from] ServiceError),
    /// The cards.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The connection that folds the log into the database.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What should be done cannot be.
    #[error("the scenario itself is wrong: {0}")]
    Scenario(String),
}

pub(super) fn scenario(error: impl std::fmt::Display) -> CutError {
    CutError::Scenario(error.to_string())
}
