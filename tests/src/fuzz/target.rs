//! What is fuzzed.

/// What is fuzzed; printed as the libFuzzer target is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "kebab-case")]
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
}
