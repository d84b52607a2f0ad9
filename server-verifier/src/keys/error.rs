//! What can go wrong with keys. Each message says what to do next.

use std::path::PathBuf;

use onetap_apdu_spec::header::KeyId;

use super::KeyKind;

/// An error of the server's keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Reading or writing failed.
    #[error("the key file {path} cannot be read or written; check that it exists and belongs to this user")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// There is none.
    #[error(
        "there is no key file {path}; put the one there that was made with this database, or run `onetap verifier init`"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// Everybody may write in its folder.
    #[error(
        "everybody may put files into {path}, and so replace the keys; run `chmod o-w` on it, or take another folder"
    )]
    OpenFolder {
        /// Which folder.
        path: PathBuf,
    },
    /// A command that was killed has left a file that may hold keys.
    #[error(
        "{path} was left by a command that was killed, and may hold the keys unsealed; remove it, then repeat the command"
    )]
    LeftOver {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read the secrets.
    #[error("others may read the key file {path}; run `chmod 600` on it, and consider its keys disclosed")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// Not what this program wrote.
    #[error("the key file {path} is damaged; restore it from the backup")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// Made by a later version of this program.
    #[error(
        "the key file {path} has format {found}, this program knows up to {known}; install a newer program"
    )]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Newest format that this program knows.
        known: u32,
    },
    /// Keys of another operator.
    #[error("the key file {path} belongs to another database; restore the one made with this database")]
    OtherServer {
        /// Which file.
        path: PathBuf,
    },
    /// Sealed, and nothing was given to open it.
    #[error(
        "the key file {path} is sealed with a {by}; give --{by}-file, or set ONETAP_PASSPHRASE_FILE or ONETAP_KEY_FILE"
    )]
    Sealed {
        /// Which file.
        path: PathBuf,
        /// `passphrase` or `key`.
        by: &'static str,
    },
    /// The file is whole, but this passphrase does not open it.
    #[error("the passphrase is not the one that {path} was sealed with; try again")]
    WrongPassphrase {
        /// Which file.
        path: PathBuf,
    },
    /// The file is whole, but this key does not open it.
    #[error("the key is not the one that {path} was sealed with; give the right key file")]
    WrongKeyFile {
        /// Which file.
        path: PathBuf,
    },
    /// The file asks for more memory or time than any that this program writes.
    #[error(
        "the key file {path} asks for more work than this program does for a passphrase; restore it from the backup"
    )]
    TooCostly {
        /// Which file.
        path: PathBuf,
    },
    /// Not there, or not any more.
    #[error("there is no {kind} key of version {id}; `onetap verifier keys show` lists them")]
    NoSuchKey {
        /// Which kind.
        kind: KeyKind,
        /// Which version.
        id: KeyId,
    },
    /// New cards need it.
    #[error("version {id} is the newest {kind} key; rotate first, then retire it")]
    Newest {
        /// Which kind.
        kind: KeyKind,
        /// Which version.
        id: KeyId,
    },
    /// Cards are bound to it.
    #[error("{cards} cards are bound to version {id} of the {kind} key; replace or block them first")]
    InUse {
        /// Which kind.
        kind: KeyKind,
        /// Which version.
        id: KeyId,
        /// How many.
        cards: u64,
    },
    /// No number is left for another version.
    #[error("there are no more versions of the {kind} key; set up a new server")]
    NoMoreVersions {
        /// Which kind.
        kind: KeyKind,
    },
    /// See [`TokenError`].
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The provider failed.
    #[error("cryptography failed: {0}; repeat the command")]
    Crypto(#[from] onetap_apdu_spec::crypto::CryptoError),
}

/// An error of a PKCS#11 token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// The keys are in a token, but this program was built without PKCS#11.
    #[error("the keys are in a PKCS#11 token; use a program built with the feature `pkcs11`")]
    NotBuiltIn,
    /// No PIN was given.
    #[error("the keys are in a PKCS#11 token; give --pkcs11-pin-file, or set ONETAP_PKCS11_PIN_FILE")]
    PinMissing,
    /// The PIN is wrong. Not tried again: a token locks after a few.
    #[error(
        "the token {label} refuses the PIN ({why}); correct the PIN file: a token locks itself after a few wrong PINs"
    )]
    PinRefused {
        /// Which token.
        label: String,
        /// What the token says.
        why: String,
    },
    /// The library cannot be loaded.
    #[error("the PKCS#11 module {module} cannot be loaded ({why}); check the path")]
    Module {
        /// Which library.
        module: PathBuf,
        /// What the system says.
        why: String,
    },
    /// No token of this label is in any slot.
    #[error("no token named {label} is connected; connect it, or correct the label")]
    NotConnected {
        /// Which token.
        label: String,
    },
    /// It was there and does not answer now.
    #[error("the token {label} does not answer ({why}); check that it is connected")]
    Lost {
        /// Which token.
        label: String,
        /// What the module says.
        why: String,
    },
    /// A key that the file names is not in the token, or is another one.
    #[error(
        "the token does not hold the key {key} that the key file names; connect the token of this server"
    )]
    OtherKey {
        /// The key's label.
        key: String,
    },
    /// The key could be read out of the token.
    #[error("the token would give away the key {key}; make a new server whose keys stay in the token")]
    Extractable {
        /// The key's label.
        key: String,
    },
    /// The token lacks a mechanism.
    #[error("the token {label} cannot {what} ({why}); choose a token that can")]
    Unable {
        /// Which token.
        label: String,
        /// What it was asked to do.
        what: &'static str,
        /// What the module says.
        why: String,
    },
}
