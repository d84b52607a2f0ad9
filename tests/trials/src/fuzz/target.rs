//! What is fuzzed.

/// What is fuzzed; printed as the libFuzzer target is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Target {
    /// Reading command APDUs: [`super::apdu`].
    Apdu,
    /// Reading BER-TLV: [`super::tlv`].
    Tlv,
    /// The card, command after command: [`super::process`].
    Process,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Apdu, Self::Tlv, Self::Process];
}
