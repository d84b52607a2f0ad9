//! What the runtime may answer to an applet that asks it for something.

use onetap_apdu_spec::crypto::CryptoError;
use onetap_apdu_spec::sw::StatusWord;

use crate::crypto::Reason;
use crate::nvm::NvmError;

/// Why the runtime did not do what an applet asked for. An applet may let it through with `?`: then it
/// becomes the status word of the response.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The persistent memory.
    #[error(transparent)]
    Nvm(#[from] NvmError),
    /// The transaction is larger than the commit buffer.
    #[error("the transaction does not fit the commit buffer")]
    BufferFull,
    /// A transaction is open already: they do not nest, and a PIN that it sets cannot be checked before its end.
    #[error("a transaction is open: commit or abort it first")]
    TransactionOpen,
    /// No transaction is open.
    #[error("no transaction is open")]
    NoTransaction,
    /// The applet may not keep more transient memory.
    #[error("no transient memory is left")]
    NoTransientSpace,
    /// The applet has no such object, or one of another type.
    #[error("object {0} is missing or of another type")]
    NoSuchObject(u8),
    /// Memory of the kind CLEAR_ON_DESELECT, in a call from another applet.
    #[error("memory that deselection clears is there for the selected applet only")]
    IllegalTransient,
    /// No such interface of another applet, for this applet.
    #[error("no other applet shares this interface with this one")]
    NotShared,
    /// The applet that was called panicked.
    #[error("the applet that was called failed; the transaction can only be aborted")]
    ServerFailed,
    /// A computation failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A cryptographic call was refused (`CryptoException`).
    #[error(transparent)]
    CryptoException(#[from] Reason),
}

impl From<Fault> for StatusWord {
    /// The one place where a fault becomes a status word.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Nvm(NvmError::Full) | Fault::NoTransientSpace => Self::NO_SPACE,
            Fault::Nvm(_) => Self::MEMORY_FAILURE,
            Fault::NotShared => Self::CONDITIONS,
            Fault::BufferFull
            | Fault::TransactionOpen
            | Fault::NoTransaction
            | Fault::NoSuchObject(_)
            | Fault::IllegalTransient
            | Fault::ServerFailed
            | Fault::Crypto(_)
            | Fault::CryptoException(_) => Self::INTERNAL,
        }
    }
}
