//! The display controller as the face of the card: it reaches the signing applet over their local channel.

use onetap_apdu_spec::command::CardState;

use super::applet::{NAME, SigningApplet};
use super::controller::{Controller, KeyRefused};
use super::display::Screen;
use super::keys::Key;
use super::local::Local;
use crate::card::{Face, Millis};
use crate::runtime::{Fault, Runtime};

impl Controller {
    /// Works with the applet. Without a signing applet on the card, or with one that is locked, or on a card that
    /// is, there is nothing to show or confirm.
    fn local<R>(
        &mut self,
        chip: &mut Runtime,
        work: impl FnOnce(&mut Self, &mut Local<'_, '_>, Option<Millis>) -> R,
    ) -> Option<R> {
        chip.in_service(&NAME).then_some(())?;
        chip.with(&NAME, |applet: &mut SigningApplet, cx| {
            let now = cx.now();
            work(self, &mut Local { applet, cx }, now)
        })
    }
}

impl Face for Controller {
    fn enter_field(&mut self, chip: &mut Runtime) {
        // In RAM the joint password is gone in any case; there is nothing to write for it.
        if self.local(chip, |controller, applet, _| controller.enter(applet)).is_none() {
            self.move_blank(true);
        }
    }

    fn leave_field(&mut self, chip: &mut Runtime) {
        if self.local(chip, |controller, _, now| controller.leave(now)).is_none() {
            self.move_blank(false);
        }
    }

    fn tick(&mut self, chip: &mut Runtime) -> Result<(), Fault> {
        self.local(chip, |controller, applet, now| controller.pass_time(now, applet)).unwrap_or(Ok(()))
    }

    fn press(&mut self, key: Key, chip: &mut Runtime) -> Result<(), KeyRefused> {
        let pressed = self.local(chip, |controller, applet, now| controller.take_key(key, now, applet));
        pressed.unwrap_or(Err(KeyRefused::OutOfService))
    }

    fn screen(&mut self, chip: &mut Runtime) -> Screen {
        self.local(chip, |controller, applet, _| controller.show(applet)).unwrap_or_else(Screen::blank)
    }

    fn is_done(&self, chip: &Runtime) -> bool {
        chip.peek(&NAME, SigningApplet::state) == Some(CardState::Delivered) && !chip.response_waits()
    }
}
