//! The card as a thing: it lies in a field or not, is powered or not, takes APDUs, has keys and a
//! display.

use std::sync::{Arc, Mutex};

use onetap_apdu_spec::apdu::ResponseApdu;
use onetap_apdu_spec::atr::{ATR, CONTACTLESS_ATR};
use onetap_apdu_spec::command::{CardState, CardStatus};
use onetap_apdu_spec::sw::StatusWord;

use super::event::{Event, Observer, Watchers};
use super::power::{Interface, Power};
use super::time::Millis;
use crate::runtime::{Fault, Runtime};
use crate::signing::controller::{Controller, KeyRefused};
use crate::signing::display::Screen;
use crate::signing::keys::Key;
use crate::signing::local::Local;
use crate::signing::{NAME, SigningApplet};

/// A card with a display and keys of its own.
pub struct Card {
    pub(super) runtime: Runtime,
    controller: Controller,
    power: Power,
    interface: Interface,
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
    pub(super) fn with(runtime: Runtime) -> Self {
        Self {
            runtime,
            controller: Controller::new(),
            power: Power::Off,
            interface: Interface::Contact,
            watchers: Watchers::default(),
        }
    }

    /// Lets the display controller work with the applet over their local channel. Without a signing applet
    /// on the card, or with one that is locked, or on a card that is, there is nothing to show or confirm.
    fn local<R>(
        &mut self,
        work: impl FnOnce(&mut Controller, &mut Local<'_, '_>, Option<Millis>) -> R,
    ) -> Option<R> {
        let controller = &mut self.controller;
        self.runtime.in_service(&NAME).then_some(())?;
        self.runtime.with(&NAME, |applet: &mut SigningApplet, cx| {
            let now = cx.now();
            work(controller, &mut Local { applet, cx }, now)
        })
    }

    /// The card comes into a reader's field. The display goes dark.
    pub fn enter_field(&mut self) {
        self.tick();
        // In RAM the joint password is gone in any case; there is nothing to write for it.
        if self.local(|controller, applet, _| controller.enter_field(applet)).is_none() {
            self.controller.move_blank(true);
        }
        self.watchers.tell(&Event::Field(true));
        self.tell_screen();
    }

    /// The card leaves the field: power goes, and what was not delivered is void (P-19).
    pub fn leave_field(&mut self) {
        self.tick();
        self.power_off();
        if self.local(|controller, applet, now| controller.leave_field(now, applet)).is_none() {
            self.controller.move_blank(false);
        }
        self.watchers.tell(&Event::Field(false));
    }

    /// The reader switches power on. Only in the field.
    pub fn power_on(&mut self) {
        self.start(&Event::PowerOn);
    }

    fn start(&mut self, how: &Event<'_>) {
        if self.controller.is_present() {
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

    /// The answer to reset, as readers of the card's interface give it.
    #[must_use]
    pub fn atr(&self) -> &[u8] {
        match self.interface {
            Interface::Contact => &ATR,
            Interface::Contactless => &CONTACTLESS_ATR,
        }
    }

    /// Meets readers over another interface from now on. A new card is a contact card.
    pub fn set_interface(&mut self, interface: Interface) {
        self.interface = interface;
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

    /// True if part of the last response waits for GET RESPONSE.
    #[must_use]
    pub fn response_waits(&self) -> bool {
        self.runtime.response_waits()
    }

    /// Time passed: the display wakes or goes dark. What cannot be wiped because the memory fails is
    /// tried again at the next tick, and cannot be confirmed meanwhile.
    pub fn tick(&mut self) {
        let _ = self.pass_time();
        self.tell_screen();
    }

    pub(super) fn pass_time(&mut self) -> Result<(), Fault> {
        self.local(|controller, applet, now| controller.tick(now, applet)).unwrap_or(Ok(()))
    }

    /// The holder presses a key.
    ///
    /// # Errors
    /// [`KeyRefused`]: why it did nothing, and what to do.
    pub fn press(&mut self, key: Key) -> Result<(), KeyRefused> {
        self.watchers.tell(&Event::Key(key.into()));
        let pressed = self.local(|controller, applet, now| controller.press(key, now, applet));
        self.tell_screen();
        pressed.unwrap_or(Err(KeyRefused::OutOfService))
    }

    /// What the display shows.
    pub fn screen(&mut self) -> Screen {
        self.tick();
        self.local(|controller, applet, _| controller.screen(applet)).unwrap_or_else(Screen::blank)
    }

    /// Tells `observer` of everything that happens from now on.
    pub fn watch(&mut self, observer: Box<dyn Observer>) {
        self.watchers.add(observer);
        self.tell_screen();
    }

    fn tell_screen(&mut self) {
        if !self.watchers.is_empty() {
            let screen = self.local(|controller, applet, _| controller.screen(applet));
            self.watchers.tell_screen(screen.unwrap_or_else(Screen::blank));
        }
    }

    /// The name of the state.
    #[must_use]
    pub fn state(&self) -> CardState {
        self.runtime.peek(&NAME, SigningApplet::state).unwrap_or(CardState::Idle)
    }

    /// The card status, as GET DATA gives it.
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
        self.controller.is_present()
    }
}
