//! The signing applet as the display controller reaches it, past all APDUs.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::txn::Transaction;

use super::applet::SigningApplet;
use super::confirm::Condition;
use super::controller::{Answer, ConfirmError, LocalChannel};
use super::memory::Counters;
use super::pin::Pin;
use super::signer::Signer;
use super::state::State;
use crate::card::Millis;
use crate::runtime::{Context, Fault};

/// The applet with the context of one call.
pub(crate) struct Local<'a, 'b> {
    pub(crate) applet: &'a mut SigningApplet,
    pub(crate) cx: &'a mut Context<'b>,
}

impl Local<'_, '_> {
    fn signer(&self) -> Option<&Signer> {
        self.applet.signer.as_ref()
    }
}

impl LocalChannel for Local<'_, '_> {
    fn state(&self) -> CardState {
        self.applet.state()
    }

    fn contact_over(&mut self) {
        if let Some(signer) = &mut self.applet.signer {
            signer.state = std::mem::take(&mut signer.state).contact_over();
        }
    }

    fn delivered_at(&self) -> Option<Millis> {
        self.signer()?.state.pending().map(|pending| pending.delivered_at)
    }

    fn transaction(&self) -> Option<&Transaction> {
        self.signer()?.showing().map(|(pending, _)| pending.signed.message.transaction())
    }

    fn condition(&self) -> Option<Condition> {
        let signer = self.signer()?;
        signer.showing().map(|(pending, _)| signer.condition_of(&pending.signed.message))
    }

    fn tries_left(&self) -> u8 {
        Signer::tries_left(self.cx)
    }

    fn pin_accepted(&self) -> bool {
        self.signer().and_then(Signer::showing).is_some_and(|(_, pin)| pin.is_some())
    }

    fn joint_password(&self) -> Option<&Password> {
        match &self.signer()?.state {
            State::Revealed(password) => Some(password),
            _ => None,
        }
    }

    fn holder_is_here(&mut self) -> Result<(), Fault> {
        let Some(signer) = &mut self.applet.signer else { return Ok(()) };
        let counters = signer.memory.counters();
        if counters.unconfirmed == 0 {
            return Ok(());
        }
        let pending = signer.memory.pending().cloned();
        signer.memory.commit(self.cx, Counters { unconfirmed: 0, ..counters }, pending)
    }

    fn confirm(&mut self, typed: Option<&Pin>) -> Result<Answer, ConfirmError> {
        let signer = self.applet.signer.as_mut().ok_or(ConfirmError::NothingToConfirm)?;
        signer.confirm(self.cx, typed)
    }

    fn cancel(&mut self) -> Result<(), Fault> {
        self.applet.signer.as_mut().map_or(Ok(()), |signer| signer.wipe(self.cx))
    }
}
