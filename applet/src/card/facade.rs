//! The card as a thing: it lies in a field or not, is powered or not, takes APDUs, and may have a display
//! and keys.

use std::sync::{Arc, Mutex};

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::atr::{Way, answer_to_reset};
use onetap_apdu_spec::command::{CardState, CardStatus};
use onetap_apdu_spec::sw::StatusWord;

use super::event::{Event, Observer, Watchers};
use super::face::Face;
use super::power::{Interface, Power};
use crate::runtime::{Fault, Protocol, Runtime};
use crate::signing::controller::KeyRefused;
use crate::signing::display::Screen;
use crate::signing::keys::Key;
use crate::signing::{NAME, SigningApplet};

/// A card: a chip with its operating system and, if it has one, a [`Face`]. All front doors take any card; the
/// signing card, with its display and keys, is one kind.
pub struct Card {
    pub(super) runtime: Runtime,
    face: Option<Box<dyn Face>>,
    in_field: bool,
    power: Power,
    atr: Vec<u8>,
    watchers: Watchers,
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
    /// A card around this chip, out of every field, with a face or without.
    #[must_use]
    pub fn new(runtime: Runtime, face: Option<Box<dyn Face>>) -> Self {
        let (atr, watchers) = (Vec::new(), Watchers::default());
        let mut card = Self { runtime, face, in_field: false, power: Power::Off, atr, watchers };
        card.set_interface(Interface::Contact);
        card
    }

    /// The chip's operating system.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// True if the card has a display and keys.
    #[must_use]
    pub fn has_face(&self) -> bool {
        self.face.is_some()
    }

    /// The card comes into a reader's field. The display goes dark.
    pub fn enter_field(&mut self) {
        self.tick();
        self.in_field = true;
        if let Some(face) = &mut self.face {
            face.enter_field(&mut self.runtime);
        }
        self.watchers.tell(&Event::Field(true));
        self.tell_screen();
    }

    /// The card leaves the field: power goes, and what was not delivered is void (P-19).
    pub fn leave_field(&mut self) {
        self.tick();
        self.power_off();
        self.in_field = false;
        if let Some(face) = &mut self.face {
            face.leave_field(&mut self.runtime);
        }
        self.watchers.tell(&Event::Field(false));
    }

    /// The reader switches power on. Only in the field.
    pub fn power_on(&mut self) {
        self.start(&Event::PowerOn);
    }

    fn start(&mut self, how: &Event<'_>) {
        if self.in_field {
            self.runtime.reset();
            self.power = Power::On;
            self.watchers.tell(how);
        }
    }

    /// The reader switches power off. The card may still be there.
    pub fn power_off(&mut self) {
        self.runtime.reset();
        if self.power == Power::On {
            self.watchers.tell(&Event::PowerOff);
        }
        self.power = Power::Off;
    }

    /// The reader resets the card.
    pub fn reset(&mut self) {
        self.start(&Event::Reset);
    }

    /// The answer to reset, as readers of the card's interface give it. It tells of the card's limits.
    #[must_use]
    pub fn atr(&self) -> &[u8] {
        &self.atr
    }

    /// Meets readers over another interface from now on. A new card is a contact card. Without contacts its APDUs are
    /// those of T=1 (ISO/IEC 14443-4), whatever the card's limits say.
    pub fn set_interface(&mut self, interface: Interface) {
        let limits = *self.runtime.limits();
        let (way, protocol) = match (interface, limits.protocol) {
            (Interface::Contact, Protocol::T0) => (Way::T0, Protocol::T0),
            (Interface::Contact, Protocol::T1) => (Way::T1, Protocol::T1),
            (Interface::Contactless, _) => (Way::Contactless, Protocol::T1),
        };
        self.runtime.speak(protocol);
        self.atr = answer_to_reset(way, limits.takes_extended(protocol), limits.channels);
    }

    /// One command APDU, one response APDU: at least two bytes, whatever came in. Without power: 6F00.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        let mut response = Vec::new();
        self.transmit_into(command, &mut response);
        response
    }

    /// As [`Card::transmit`], into a buffer that is overwritten.
    #[inline]
    pub fn transmit_into(&mut self, command: &[u8], response: &mut Vec<u8>) {
        if self.power == Power::Off {
            *response = ResponseApdu::from(StatusWord::INTERNAL).to_bytes();
            return;
        }
        self.tick();
        self.watchers.tell(&Event::Command(command));
        self.runtime.transmit(command, response);
        self.watchers.tell(&Event::Response(response));
    }

    /// True once the terminal has all it needs of this contact, as far as the card's face knows.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.face.as_ref().is_some_and(|face| face.is_done(&self.runtime))
    }

    /// Time passed: the display wakes or goes dark. What cannot be wiped because the memory fails is
    /// tried again at the next tick, and cannot be confirmed meanwhile.
    pub fn tick(&mut self) {
        let _ = self.pass_time();
        self.tell_screen();
    }

    pub(super) fn pass_time(&mut self) -> Result<(), Fault> {
        self.face.as_mut().map_or(Ok(()), |face| face.tick(&mut self.runtime))
    }

    /// The holder presses a key.
    ///
    /// # Errors
    /// [`KeyRefused`]: why it did nothing, and what to do.
    pub fn press(&mut self, key: Key) -> Result<(), KeyRefused> {
        self.watchers.tell(&Event::Key(key.into()));
        let Some(face) = &mut self.face else { return Err(KeyRefused::NoKeys) };
        let pressed = face.press(key, &mut self.runtime);
        self.tell_screen();
        pressed
    }

    /// What the display shows; nothing on a card without one.
    pub fn screen(&mut self) -> Screen {
        self.tick();
        self.shown()
    }

    fn shown(&mut self) -> Screen {
        self.face.as_mut().map_or_else(Screen::blank, |face| face.screen(&mut self.runtime))
    }

    /// Tells `observer` of everything that happens from now on.
    pub fn watch(&mut self, observer: Box<dyn Observer>) {
        self.watchers.add(observer);
        self.tell_screen();
    }

    fn tell_screen(&mut self) {
        if !self.watchers.is_empty() {
            let screen = self.shown();
            self.watchers.tell_screen(screen);
        }
    }

    /// The name of the signing application's state; without one there is nothing but idleness.
    #[must_use]
    pub fn state(&self) -> CardState {
        self.runtime.peek(&NAME, SigningApplet::state).unwrap_or(CardState::Idle)
    }

    /// True if the signing application is among what the card's ROM holds.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.runtime.modules().any(|module| module == NAME)
    }

    /// The status of the signing application, as GET DATA gives it.
    #[must_use]
    pub fn status(&mut self) -> CardStatus {
        let status = self.runtime.with(&NAME, |applet: &mut SigningApplet, cx| applet.status(cx));
        status.unwrap_or(CardStatus {
            state: CardState::Idle,
            unconfirmed: 0,
            pin_blocked: false,
            worn_out: false,
        })
    }

    /// True while the card is in a reader's field.
    #[must_use]
    pub fn in_field(&self) -> bool {
        self.in_field
    }
}
