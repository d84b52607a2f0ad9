//! `onetap verifier keys`, and what opens the keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use onetap_server_verifier::KeyKind;

use super::Why;

/// What opens the key file, or the token. Never the secret itself, which every process could read on the
/// command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Opener {
    /// File with the passphrase of the key file
    #[arg(long, env = "ONETAP_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File of 32 random bytes that seals the key file
    #[arg(long, env = "ONETAP_KEY_FILE", hide_env_values = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the user PIN of the PKCS#11 token
    #[arg(long, env = "ONETAP_PKCS11_PIN_FILE", hide_env_values = true)]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
}

/// Where a new server's keys go.
#[derive(Debug, Args)]
pub(crate) struct NewKeys {
    #[command(flatten)]
    pub(crate) opener: Opener,
    /// PKCS#11 module of the token that is to hold the keys
    #[arg(long, requires = "pkcs11_token")]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// Label of that token
    #[arg(long, requires = "pkcs11_module")]
    pub(crate) pkcs11_token: Option<String>,
}

/// Which keys, and what opens them.
#[derive(Debug, Args)]
pub(crate) struct KeysOf {
    /// The server's folder
    #[arg(long)]
    pub(crate) db: PathBuf,
    #[command(flatten)]
    pub(crate) opener: Opener,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Show versions and fingerprints, no secrets
    Show {
        #[command(flatten)]
        of: KeysOf,
    },
    /// Seal the key file, or seal it with something else; asks for a passphrase if no file is given
    Seal {
        #[command(flatten)]
        of: KeysOf,
        /// File with the new passphrase
        #[arg(long, conflicts_with = "new_key_file")]
        new_passphrase_file: Option<PathBuf>,
        /// File of 32 random bytes
        #[arg(long)]
        new_key_file: Option<PathBuf>,
    },
    /// Write the keys unsealed, for their owner only
    Unseal {
        #[command(flatten)]
        of: KeysOf,
    },
    /// Make a new version of a key, for new cards
    Rotate {
        #[command(flatten)]
        of: KeysOf,
        /// Which key
        kind: Kind,
        #[command(flatten)]
        why: Why,
    },
    /// Remove an older version for good; no card may need it
    Retire {
        #[command(flatten)]
        of: KeysOf,
        /// Which key
        kind: Kind,
        /// Which version
        version: u16,
        #[command(flatten)]
        why: Why,
    },
}

/// Keys that have versions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// The RSA key that cards encrypt for
    Server,
    /// The master key that card keys are derived from
    Issuer,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Server => Self::Server,
            Kind::Issuer => Self::Issuer,
        }
    }
}
