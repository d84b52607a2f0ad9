//! What is fuzzed.

/// What is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// [`apdu`].
    Apdu,
    /// [`tlv`].
    Tlv,
    /// [`process`].
    Process,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Apdu, Self::Tlv, Self::Process];

    /// Its name, also that of the libFuzzer target.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apdu => "apdu",
            Self::Tlv => "tlv",
            Self::Process => "process",
        }
    }
}
