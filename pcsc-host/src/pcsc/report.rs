//! What PC/SC reports, in this crate's words.

use ::pcsc::Error as E;

use crate::error::ReaderError;

/// A failure of a call that has to do with `reader`.
pub(super) fn reader_error(error: E, reader: &str) -> ReaderError {
    match error {
        E::UnknownReader | E::ReaderUnavailable => ReaderError::UnknownReader(reader.to_owned()),
        E::NoSmartcard => ReaderError::NoCard,
        // pcscd says NotTransacted until its next poll sees the removal.
        E::RemovedCard | E::NotTransacted | E::InvalidHandle => ReaderError::CardRemoved,
        E::ResetCard => ReaderError::CardReset,
        E::UnresponsiveCard | E::UnpoweredCard | E::ProtoMismatch => ReaderError::Unresponsive,
        E::SharingViolation => ReaderError::InUse(reader.to_owned()),
        E::InsufficientBuffer => ReaderError::ResponseTooLong,
        // Before the card has seen anything of the command.
        E::InvalidParameter | E::InvalidValue => ReaderError::NotAccepted(0),
        other => service_error(other),
    }
}

/// A failure to open a context: a pcscd that does not speak the library's version of their protocol says that it has
/// stopped.
pub(super) fn opening_error(error: E) -> ReaderError {
    match error {
        E::ServiceStopped => ReaderError::OtherVersion,
        other => service_error(other),
    }
}

/// A failure that has to do with no reader.
pub(crate) fn service_error(error: E) -> ReaderError {
    match error {
        E::NoService => ReaderError::NoService,
        // pcsclite reports its broken connection to the service as a failed communication.
        E::CommError | E::ServiceStopped | E::Shutdown | E::SystemCancelled => ReaderError::ServiceEnded,
        E::SecurityViolation => ReaderError::Denied,
        E::NoReadersAvailable => ReaderError::NoReaders,
        other => ReaderError::Other(other.to_string()),
    }
}
