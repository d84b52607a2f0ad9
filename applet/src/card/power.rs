//! Power from the reader. Not presence: a reader switches an unused card off while it is still there.

/// How readers reach the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// By its contacts (ISO/IEC 7816-3).
    #[default]
    Contact,
    /// By a field (ISO/IEC 14443-4).
    Contactless,
}

/// Whether the reader powers the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Power {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
}
