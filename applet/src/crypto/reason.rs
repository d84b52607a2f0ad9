//! Why a cryptographic call of an applet was refused.

/// The reasons of `javacard.security.CryptoException`, as far as types do not exclude them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// ILLEGAL_VALUE: bytes that are no key of this type and size, no point of the curve, no digest of that length.
    #[error("ILLEGAL_VALUE: the bytes are not of the kind that is wanted")]
    IllegalValue,
    /// UNINITIALIZED_KEY: the key has no value, or lost it.
    #[error("UNINITIALIZED_KEY: the key has no value yet, or was cleared")]
    UninitializedKey,
    /// ILLEGAL_USE: the data is not of whole blocks, or its padding is wrong.
    #[error("ILLEGAL_USE: the data is not of whole blocks, or is padded wrongly")]
    IllegalUse,
}

impl Reason {
    /// The reason code that Java Card gives it.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::IllegalValue => 1,
            Self::UninitializedKey => 2,
            Self::IllegalUse => 5,
        }
    }
}
