//! The card as a thing: it lies in a field or not, is powered or not, takes APDUs, has keys and a
//! display.

use std::sync::{Arc, Mutex};

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::atr::ATR;
use onetap_apdu_spec::command::{CardState, CardStatus};
use onetap_apdu_spec::crypto::{Crypto, CryptoError, default_provider};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::{OsRng, Rng};
use onetap_apdu_spec::sw::StatusWord;

use super::clock::{Clock, SystemClock};
use super::nvm::{Nvm, NvmError};
use super::power::Power;
use crate::runtime::Runtime;
use crate::signing::SigningApplet;
use crate::signing::controller::{Controller, KeyRefused};
use crate::signing::display::Screen;
use crate::signing::keys::Key;
use crate::signing::personalise::{OrderError, personalise};
use crate::signing::pin::Pin;

/// What a card gets from the world: with the same seed and clock, one run replays another.
pub struct Environment {
    /// The provider of cryptography.
    pub crypto: &'static dyn Crypto,
    /// Where keys and joint passwords come from.
    pub rng: Box<dyn Rng>,
    /// The card's battery-backed clock.
    pub clock: Box<dyn Clock>,
}

impl Default for Environment {
    /// The real ones: the fast provider, the operating system's randomness, the machine's clock.
    fn default() -> Self {
        Self { crypto: default_provider(), rng: Box::new(OsRng), clock: Box::new(SystemClock) }
    }
}

/// Why a card cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The order cannot make a card.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The memory.
    #[error(transparent)]
    Nvm(#[from] NvmError),
    /// The memory holds no card.
    #[error("this memory holds no card yet; personalise one first (`onetap card new`)")]
    Empty,
    /// The image was made by a newer version.
    #[error("the card's memory has layout {found}, this program knows {known}; use a newer version of it")]
    Version {
        /// Its layout.
        found: u16,
        /// The newest layout known here.
        known: u16,
    },
    /// The image's checksum holds but its content makes no sense.
    #[error("the card's memory cannot be read; have the issuer block this card and make a new one")]
    Unreadable,
    /// A computation failed.
    #[error("the card's cryptography failed: {0}")]
    Crypto(#[from] CryptoError),
}

/// A card with a display and keys of its own.
pub struct Card {
    runtime: Runtime<SigningApplet>,
    controller: Controller,
    power: Power,
}

/// A card that several front doors share.
pub type SharedCard = Arc<Mutex<Card>>;

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Card")
            .field("state", &self.state())
            .field("power", &self.power)
            .finish_non_exhaustive()
    }
}

impl Card {
    /// Makes a card in empty memory. It makes its own RSA key, which takes a moment.
    ///
    /// # Errors
    /// [`CardError`]; then the memory is as before.
    #[allow(clippy::needless_pass_by_value, reason = "the PIN is used up")]
    pub fn personalise(
        order: Personalisation,
        pin: Pin,
        nvm: Box<dyn Nvm>,
        env: Environment,
    ) -> Result<(Self, EnrolmentStatement), CardError> {
        let (applet, statement) = personalise(order, &pin, None, nvm, env)?;
        Ok((Self::with(applet), statement))
    }

    /// As [`Card::personalise`], with a signing key in PKCS#8 brought along: for tests and vectors. A
    /// card for real use makes its own.
    ///
    /// # Errors
    /// [`CardError`].
    #[allow(clippy::needless_pass_by_value, reason = "the PIN is used up")]
    pub fn personalise_with_key(
        order: Personalisation,
        pin: Pin,
        pkcs8: &[u8],
        nvm: Box<dyn Nvm>,
        env: Environment,
    ) -> Result<(Self, EnrolmentStatement), CardError> {
        let (applet, statement) = personalise(order, &pin, Some(pkcs8), nvm, env)?;
        Ok((Self::with(applet), statement))
    }

    /// Opens a card that was personalised before. A transaction that was delivered when the card was
    /// last in use waits on its display, unless its time is up.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open(nvm: Box<dyn Nvm>, env: Environment) -> Result<Self, CardError> {
        let mut card = Self::with(SigningApplet::open(nvm, env)?);
        card.pass_time()?;
        Ok(card)
    }

    fn with(applet: SigningApplet) -> Self {
        Self { runtime: Runtime::new(applet), controller: Controller::new(), power: Power::Off }
    }

    /// The card comes into a reader's field. The display goes dark.
    pub fn enter_field(&mut self) {
        self.tick();
        // In RAM the joint password is gone in any case; there is nothing to write for it.
        let _ = self.controller.enter_field(self.runtime.applet_mut());
    }

    /// The card leaves the field: power goes, and what was not delivered is void (P-19).
    pub fn leave_field(&mut self) {
        self.tick();
        self.power_off();
        let now = self.runtime.applet().now();
        self.controller.leave_field(now, self.runtime.applet_mut());
    }

    /// The reader switches power on. Only in the field.
    pub fn power_on(&mut self) {
        if self.controller.is_present() {
            self.runtime.reset();
            self.power = Power::On;
        }
    }

    /// The reader switches power off. The card may still be there.
    pub fn power_off(&mut self) {
        self.runtime.reset();
        self.power = Power::Off;
    }

    /// The reader resets the card.
    pub fn reset(&mut self) {
        self.power_on();
    }

    /// The answer to reset.
    #[must_use]
    pub fn atr(&self) -> &[u8] {
        &ATR
    }

    /// One command APDU, one response APDU: at least two bytes, whatever came in. Without power: 6F00.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        if self.power == Power::Off {
            return ResponseApdu::from(StatusWord::INTERNAL).to_bytes();
        }
        self.tick();
        self.runtime.transmit(command)
    }

    /// True if part of the last response waits for GET RESPONSE.
    #[must_use]
    pub fn response_waits(&self) -> bool {
        self.runtime.response_waits()
    }

    /// Time passed: the display wakes or goes dark. What cannot be wiped because the memory fails is
    /// tried again at the next tick, and cannot be confirmed meanwhile.
    pub fn tick(&mut self) {
        let _ = self.pass_time();
    }

    fn pass_time(&mut self) -> Result<(), NvmError> {
        let now = self.runtime.applet().now();
        self.controller.tick(now, self.runtime.applet_mut())
    }

    /// The holder presses a key.
    ///
    /// # Errors
    /// [`KeyRefused`]: why it did nothing, and what to do.
    pub fn press(&mut self, key: Key) -> Result<(), KeyRefused> {
        let now = self.runtime.applet().now();
        self.controller.press(key, now, self.runtime.applet_mut())
    }

    /// What the display shows.
    pub fn screen(&mut self) -> Screen {
        self.tick();
        self.controller.screen(self.runtime.applet())
    }

    /// The name of the state.
    #[must_use]
    pub fn state(&self) -> CardState {
        self.status().state
    }

    /// The card status, as GET DATA gives it.
    #[must_use]
    pub fn status(&self) -> CardStatus {
        self.runtime.applet().status()
    }

    /// True while the card is in a reader's field.
    #[must_use]
    pub fn in_field(&self) -> bool {
        self.controller.is_present()
    }
}
