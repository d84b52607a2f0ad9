//! Power from the reader. Not presence: a reader switches an unused card off while it is still there.

/// Whether the reader powers the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Power {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
}
