//! A personalised signing applet: its state, its memory, its keys. Commands come in through `transceiver`,
//! the holder's keys through `local`.

use std::sync::Arc;

use onetap_apdu_spec::command::CardStatus;
use onetap_apdu_spec::crypto::RsaPublic;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::TransactionMessage;

use super::confirm::{Condition, condition};
use super::controller::{Answer, ConfirmError};
use super::keys::{Confirmed, Decision, decide};
use super::memory::{Counters, Issued, Memory, Pending};
use super::order_check::{IssueError, server_key};
use super::pin::{self, PIN, Pin, PinVerified};
use super::signature::SigningKey;
use super::state::State;
use super::tools::Tools;
use crate::runtime::{Context, Fault};

/// The applet, once it is personalised.
pub(crate) struct Signer {
    pub(super) state: State,
    pub(super) memory: Memory,
    pub(super) issued: Issued,
    pub(super) signing_key: SigningKey,
    pub(super) server_key: Option<Box<dyn RsaPublic>>,
    pub(super) keys: CardKeys,
}

impl Signer {
    /// Parses the keys once. What is pending waits for the holder: no contact outlives the process.
    pub(super) fn new(cx: &mut Context<'_>, memory: Memory, issued: Issued) -> Result<Self, IssueError> {
        let crypto = cx.crypto();
        let signing_key = SigningKey::parse(crypto, issued.order.binding.suite, &issued.signing_key.0)?;
        let server_key = server_key(crypto, &issued.order)?;
        let keys = CardKeys::new(crypto, issued.order.card_key.clone());
        let state = memory.pending().map_or(State::Idle, |pending| State::Showing(Arc::clone(pending), None));
        Ok(Self { state, memory, issued, signing_key, server_key, keys })
    }

    /// Takes up what is stored; `None` before the card was personalised.
    pub(super) fn open(cx: &mut Context<'_>) -> Result<Option<Self>, StatusWord> {
        let Some((memory, issued)) = Memory::open(cx)? else { return Ok(None) };
        let mut signer = Self::new(cx, memory, issued).map_err(|_| StatusWord::INTERNAL)?;
        signer.finish_blocking(cx)?;
        Ok(Some(signer))
    }

    /// What waits goes with the third wrong PIN, even if it could not be wiped then.
    pub(super) fn finish_blocking(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.pin_blocked(cx) { self.wipe(cx) } else { Ok(()) }
    }

    /// What GET DATA tells of the card.
    pub(super) fn status(&self, cx: &Context<'_>) -> CardStatus {
        let counters = self.memory.counters();
        CardStatus {
            state: self.state.name(),
            unconfirmed: counters.unconfirmed,
            pin_blocked: self.pin_blocked(cx),
            worn_out: counters.counter == u32::MAX,
        }
    }

    /// PIN tries left; none, if they cannot be read.
    pub(super) fn tries_left(cx: &Context<'_>) -> u8 {
        PIN.tries_left(cx).unwrap_or(0)
    }

    fn pin_blocked(&self, cx: &Context<'_>) -> bool {
        Self::tries_left(cx) == 0
    }

    pub(super) fn interrupt(&mut self) {
        self.state = std::mem::take(&mut self.state).interrupted();
    }

    /// Removes what is pending from the memory, if something is, then from the state.
    pub(super) fn wipe(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.memory.pending().is_some() {
            self.memory.commit(cx, self.memory.counters(), None)?;
        }
        self.state = State::Idle;
        Ok(())
    }

    pub(super) fn showing(&self) -> Option<(&Arc<Pending>, Option<&Arc<PinVerified>>)> {
        match &self.state {
            State::Showing(pending, pin) => Some((pending, pin.as_ref())),
            _ => None,
        }
    }

    pub(super) fn condition_of(&self, message: &TransactionMessage) -> Condition {
        let amount = message.transaction().amount;
        condition(&self.issued.order.confirmation, self.memory.counters().key_only, amount)
    }

    fn verify_pin(&mut self, cx: &mut Context<'_>, pin: &Pin) -> Result<PinVerified, ConfirmError> {
        if self.pin_blocked(cx) {
            return Err(ConfirmError::PinBlocked);
        }
        if let Some(verified) = pin::verify(cx, pin)? {
            return Ok(verified);
        }
        match Self::tries_left(cx) {
            0 => {
                // Blocked: whether or not the memory can be wiped now, nothing is shown any more.
                self.state = State::Idle;
                self.wipe(cx)?;
                Err(ConfirmError::PinBlocked)
            }
            left => Err(ConfirmError::WrongPin { left }),
        }
    }

    pub(super) fn confirm(
        &mut self,
        cx: &mut Context<'_>,
        typed: Option<&Pin>,
    ) -> Result<Answer, ConfirmError> {
        let Some((pending, before)) = self.showing() else {
            return Err(ConfirmError::NothingToConfirm);
        };
        let (pending, before) = (Arc::clone(pending), before.cloned());
        let how = self.condition_of(&pending.signed.message);
        let wanted = typed.filter(|_| how != Condition::Key);
        let typed = wanted.map(|pin| self.verify_pin(cx, pin)).transpose()?;
        match decide(how, typed, before.as_deref()) {
            Decision::Confirmed(confirmed) => self.reveal(cx, &pending, how, confirmed),
            Decision::PressOnceMore(pin) => {
                self.state = State::Showing(pending, Some(Arc::new(pin)));
                Ok(Answer::PinAccepted)
            }
            Decision::PinMissing => Err(ConfirmError::PinMissing),
        }
    }

    /// One commit: the pending transaction goes, the totals move. From then on the joint password is in
    /// the display's RAM only.
    fn reveal(
        &mut self,
        cx: &mut Context<'_>,
        pending: &Pending,
        how: Condition,
        confirmed: Confirmed,
    ) -> Result<Answer, ConfirmError> {
        let signed = &pending.signed;
        let (crypto, rng) = cx.tools();
        let password = signed
            .password
            .unseal(confirmed, &self.issued.storage, signed.counter, &Tools { crypto, rng })
            .map_err(|_| ConfirmError::Damaged)?;
        let counters = self.memory.counters();
        let amount = signed.message.transaction().amount;
        let key_only = counters.key_only.after(how, amount, &self.issued.order.confirmation);
        self.memory.commit(cx, Counters { key_only, ..counters }, None)?;
        self.state = State::Revealed(Arc::new(password));
        Ok(Answer::Revealed)
    }
}
