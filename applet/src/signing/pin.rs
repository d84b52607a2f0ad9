//! The holder's PIN: 4 to 12 digits, typed on the card's own keypad, three tries. The try
//! counter and the comparison are the runtime's. No command verifies a PIN.

pub use onetap_apdu_spec::personal::{NotAPin, PIN_MAX, PIN_MIN, Pin};

use crate::runtime::{Context, Fault, OwnerPin};

/// Wrong PINs in a row that block it.
pub const PIN_TRIES: u8 = 3;
/// The PIN in persistent memory: objects 3 and 4.
pub(super) const PIN: OwnerPin = OwnerPin::new(3, PIN_TRIES);

/// Proof that the right PIN was typed. Only [`verify`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PinVerified(());

/// Verifies a typed PIN: a try is taken, persistently, before anything is compared.
pub(super) fn verify(cx: &mut Context<'_>, pin: &Pin) -> Result<Option<PinVerified>, Fault> {
    Ok(PIN.check(cx, pin.expose().as_bytes())?.then_some(PinVerified(())))
}
