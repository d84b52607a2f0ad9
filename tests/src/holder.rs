//! The holder: reads the card's display to the end, confirms, and reads the joint password off it, with
//! nothing but the card's keys and screen.

use std::sync::PoisonError;

use onetap_apdu_spec::command::CardState;
use onetap_applet::card::VirtualClock;
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS, Key, KeyRefused, Screen, SharedCard};

/// How long the holder's hand takes, in milliseconds, at the least.
const MOMENT_MS: u64 = 50;

/// Why the holder has no joint password to type.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The display stays dark.
    #[error("the display shows nothing; tap the card first")]
    Dark,
    /// A key did nothing.
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// Confirmed, and still no joint password.
    #[error("the card was confirmed and shows no joint password")]
    NoPassword,
}

/// How time passes between what the holder does.
pub trait Patience {
    /// At least so many milliseconds go by on the card's clock.
    fn wait(&self, millis: u64);
}

impl Patience for VirtualClock {
    fn wait(&self, millis: u64) {
        self.advance(millis);
    }
}

/// A person with one card and its PIN.
pub struct Holder<'a> {
    /// The card.
    pub card: &'a SharedCard,
    /// The card's time.
    pub time: &'a dyn Patience,
    /// Digits of the PIN.
    pub pin: &'a str,
}

impl Holder<'_> {
    /// Reads all pages, confirms with what the card asks for, and reads the joint password. `seen`
    /// gets each new screen.
    ///
    /// # Errors
    /// [`HolderError`].
    pub fn confirm(&self, seen: &mut dyn FnMut(&Screen)) -> Result<String, HolderError> {
        self.read(seen)?;
        self.time.wait(DEAD_TIME_MS + MOMENT_MS);
        match self.press(Key::Confirm) {
            Err(KeyRefused::PinMissing) => self.type_pin(seen)?,
            other => other?,
        }
        let screen = self.screen();
        seen(&screen);
        joint_password(&screen).ok_or(HolderError::NoPassword)
    }

    /// Reads all pages of what the display shows once the card has left the field.
    ///
    /// # Errors
    /// [`HolderError::Dark`].
    pub fn read(&self, seen: &mut dyn FnMut(&Screen)) -> Result<(), HolderError> {
        self.time.wait(DEBOUNCE_MS + MOMENT_MS);
        let mut screen = self.screen();
        if screen.is_blank() {
            return Err(HolderError::Dark);
        }
        seen(&screen);
        while screen.page_number() < screen.pages() {
            self.press(Key::Next)?;
            screen = self.screen();
            seen(&screen);
        }
        Ok(())
    }

    fn type_pin(&self, seen: &mut dyn FnMut(&Screen)) -> Result<(), HolderError> {
        for digit in self.pin.bytes().filter(u8::is_ascii_digit) {
            self.press(Key::Digit(digit - b'0'))?;
        }
        seen(&self.screen());
        self.press(Key::Confirm)?;
        if self.lock().state() == CardState::Showing {
            seen(&self.screen());
            self.time.wait(DEAD_TIME_MS);
            self.press(Key::Confirm)?;
        }
        Ok(())
    }

    fn press(&self, key: Key) -> Result<(), KeyRefused> {
        self.time.wait(MOMENT_MS);
        self.lock().press(key)
    }

    fn screen(&self) -> Screen {
        self.lock().screen()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, onetap_applet::Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The joint password on the screen, without the spaces between its groups.
#[must_use]
pub fn joint_password(screen: &Screen) -> Option<String> {
    match screen.lines() {
        [label, password] if label.ends_with("Password") => Some(password.replace(' ', "")),
        _ => None,
    }
}
