//! What can go wrong with a card as a whole.

use std::convert::Infallible;
use std::fmt;

use onetap_apdu_spec::crypto::CryptoError;
use onetap_apdu_spec::gp::ceremony::CeremonyError;
use onetap_apdu_spec::sw::StatusWord;

use crate::nvm::NvmError;
use crate::runtime::{Aid, Fault};
use crate::signing::order_check::OrderError;

/// Why a card cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The order cannot make a card.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The memory.
    #[error(transparent)]
    Nvm(#[from] NvmError),
    /// The operating system of the card.
    #[error("the card's operating system: {0}")]
    Fault(#[from] Fault),
    /// The issuer's conversation with the new card.
    #[error("the card could not be issued: {0}")]
    Issue(#[from] CeremonyError<Infallible>),
    /// The card refused to be made.
    #[error("the card refused with {0}")]
    Refused(StatusWord),
    /// The power was cut, or the process killed, while the card was made: it may have the keys that everybody knows.
    #[error(
        "this card was never finished: what made it was interrupted; make another one, with `onetap card new` or the program of its kind"
    )]
    Unfinished,
    /// The card is of a kind whose modules are not in this program.
    #[error(
        "this card is another program's: its modules {0} are not in this one; nothing was changed, open it with its own program"
    )]
    Foreign(Owner),
    /// The image's checksum holds but its content makes no sense.
    #[error("the card's memory cannot be read; have the issuer block this card and make a new one")]
    Unreadable,
    /// A computation failed.
    #[error("the card's cryptography failed: {0}")]
    Crypto(#[from] CryptoError),
}

/// Whose a card is: the modules that it has instances of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(Vec<Aid>);

impl Owner {
    pub(super) fn of(modules: Vec<Aid>) -> Self {
        Self(modules)
    }

    /// The modules' names.
    #[must_use]
    pub fn modules(&self) -> &[Aid] {
        &self.0
    }
}

impl fmt::Display for Owner {
    /// Each name in hexadecimal and, as far as it is text, as that: `F0434F554E54 (.COUNT)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, module) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{module}")?;
            let letters = module.as_bytes().iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
            if letters > 2 {
                let printed = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
                write!(f, " ({})", module.as_bytes().iter().map(printed).collect::<String>())?;
            }
        }
        Ok(())
    }
}
