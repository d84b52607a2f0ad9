//! The holder's PIN: 4 to 12 digits, typed on the card's own keypad, three tries. What is stored is a
//! salted CMAC under a key of the card. No command verifies a PIN.

use std::str::FromStr;

use onetap_apdu_spec::crypto::Block;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::tools::{StorageKeys, Tools, draw_block};

/// Wrong PINs in a row that block it.
pub const PIN_TRIES: u8 = 3;
/// Fewest digits.
pub const PIN_MIN: usize = 4;
/// Most digits.
pub const PIN_MAX: usize = 12;

/// A PIN. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

/// Text that is not a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PIN: {PIN_MIN} to {PIN_MAX} digits")]
pub struct NotAPin;

impl FromStr for Pin {
    type Err = NotAPin;
    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let fits = (PIN_MIN..=PIN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(NotAPin) }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

/// How the card knows its PIN.
#[derive(Serialize, Deserialize)]
pub(crate) struct PinRecord {
    salt: Block,
    check: Block,
}

/// Proof that the right PIN was typed. Only [`PinRecord::verify`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PinVerified(());

impl PinRecord {
    /// Stores a PIN.
    pub(crate) fn new(pin: &Pin, keys: &StorageKeys, tools: &mut Tools<'_>) -> Self {
        let salt = draw_block(tools.rng);
        let check = tools.crypto.cmac(&keys.pin_mac, &[&salt, pin.0.as_bytes()]);
        Self { salt, check }
    }

    /// Compares in constant time. The caller has persisted the try before.
    pub(crate) fn verify(&self, pin: &Pin, keys: &StorageKeys, tools: &Tools<'_>) -> Option<PinVerified> {
        let check = tools.crypto.cmac(&keys.pin_mac, &[&self.salt, pin.0.as_bytes()]);
        bool::from(check.ct_eq(&self.check)).then_some(PinVerified(()))
    }
}
