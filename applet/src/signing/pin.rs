//! The holder's PIN: 4 to 12 digits, typed on the card's own keypad, three tries. The try
//! counter and the comparison are the runtime's. No command verifies a PIN.

use std::str::FromStr;

use zeroize::Zeroizing;

use super::memory::PIN;
use crate::runtime::{Context, Fault};

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

impl Pin {
    /// The digits, as text.
    pub(super) fn digits(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

/// Proof that the right PIN was typed. Only [`verify`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PinVerified(());

/// Verifies a typed PIN: a try is taken, persistently, before anything is compared.
pub(super) fn verify(cx: &mut Context<'_>, pin: &Pin) -> Result<Option<PinVerified>, Fault> {
    Ok(PIN.check(cx, pin.digits())?.then_some(PinVerified(())))
}
