//! The signing applet: its state, its memory, its keys. Commands come in through `transceiver`, the
//! holder's keys through the [`LocalChannel`].

use std::sync::Arc;

use onetap_apdu_spec::command::{CardState, CardStatus};
use onetap_apdu_spec::crypto::RsaPublic;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::txn::{Transaction, TransactionMessage};

use super::confirm::{Condition, condition};
use super::controller::{Answer, ConfirmError, LocalChannel};
use super::keys::{Confirmed, Decision, decide};
use super::memory::{Counters, Issued, Memory, Pending};
use super::personalise::server_key;
use super::pin::{PIN_TRIES, Pin, PinVerified};
use super::signature::SigningKey;
use super::state::State;
use super::tools::Tools;
use crate::card::{CardError, Environment, Millis, Nvm, NvmError};

/// The applet.
pub(crate) struct SigningApplet {
    pub(super) state: State,
    pub(super) memory: Memory,
    pub(super) issued: Issued,
    pub(super) env: Environment,
    pub(super) signing_key: SigningKey,
    pub(super) server_key: Option<Box<dyn RsaPublic>>,
    pub(super) keys: CardKeys,
}

impl SigningApplet {
    /// Parses the keys once. What is pending waits for the holder: no contact outlives the process.
    pub(super) fn new(memory: Memory, issued: Issued, env: Environment) -> Result<Self, CardError> {
        let signing_key = SigningKey::parse(env.crypto, &issued.signing_key.0)?;
        let server_key = server_key(env.crypto, &issued.order)?;
        let keys = CardKeys::new(env.crypto, issued.order.card_key.clone());
        let state = memory.pending().map_or(State::Idle, |pending| State::Showing(Arc::clone(pending), None));
        let mut applet = Self { state, memory, issued, env, signing_key, server_key, keys };
        if applet.pin_blocked() {
            applet.wipe()?;
        }
        Ok(applet)
    }

    /// Reads a card that was personalised before.
    pub(crate) fn open(nvm: Box<dyn Nvm>, env: Environment) -> Result<Self, CardError> {
        let (memory, issued) = Memory::open(nvm)?;
        Self::new(memory, issued, env)
    }

    /// The card's time.
    pub(crate) fn now(&self) -> Option<Millis> {
        self.env.clock.now()
    }

    /// What GET DATA tells of the card.
    pub(crate) fn status(&self) -> CardStatus {
        let counters = self.memory.counters();
        CardStatus {
            state: self.state.name(),
            unconfirmed: counters.unconfirmed,
            pin_blocked: counters.pin_tries == 0,
            worn_out: counters.counter == u32::MAX,
        }
    }

    pub(super) fn pin_blocked(&self) -> bool {
        self.memory.counters().pin_tries == 0
    }

    pub(super) fn interrupt(&mut self) {
        self.state = std::mem::take(&mut self.state).interrupted();
    }

    /// Removes what is pending from the memory, if something is, then from the state.
    fn wipe(&mut self) -> Result<(), NvmError> {
        if self.memory.pending().is_some() {
            self.memory.commit(self.memory.counters(), None)?;
        }
        self.state = State::Idle;
        Ok(())
    }

    fn showing(&self) -> Option<(&Arc<Pending>, Option<&Arc<PinVerified>>)> {
        match &self.state {
            State::Showing(pending, pin) => Some((pending, pin.as_ref())),
            _ => None,
        }
    }

    fn condition_of(&self, message: &TransactionMessage) -> Condition {
        let amount = message.transaction().amount;
        condition(&self.issued.order.confirmation, self.memory.counters().key_only, amount)
    }

    /// Takes a try, persistently, before it compares: no power cut gives one back.
    fn verify_pin(&mut self, pin: &Pin) -> Result<PinVerified, ConfirmError> {
        let counters = self.memory.counters();
        let left = counters.pin_tries.checked_sub(1).ok_or(ConfirmError::PinBlocked)?;
        let pending = self.memory.pending().cloned();
        self.memory.commit(Counters { pin_tries: left, ..counters }, pending)?;
        let tools = Tools { crypto: self.env.crypto, rng: &mut *self.env.rng };
        if let Some(verified) = self.issued.pin.verify(pin, &self.issued.storage, &tools) {
            return Ok(verified);
        }
        if left > 0 {
            return Err(ConfirmError::WrongPin { left });
        }
        // Blocked: whether or not the memory can be wiped now, nothing is shown any more.
        self.state = State::Idle;
        self.wipe()?;
        Err(ConfirmError::PinBlocked)
    }

    /// The PIN was right and the confirm key is still missing.
    fn remember_pin(&mut self, pending: &Arc<Pending>, pin: PinVerified) -> Result<Answer, ConfirmError> {
        let counters = Counters { pin_tries: PIN_TRIES, ..self.memory.counters() };
        self.memory.commit(counters, Some(Arc::clone(pending)))?;
        self.state = State::Showing(Arc::clone(pending), Some(Arc::new(pin)));
        Ok(Answer::PinAccepted)
    }

    /// One commit: the pending transaction goes, the totals move. From then on the joint password is in
    /// the display's RAM only.
    fn reveal(
        &mut self,
        pending: &Pending,
        how: Condition,
        confirmed: Confirmed,
    ) -> Result<Answer, ConfirmError> {
        let signed = &pending.signed;
        let tools = Tools { crypto: self.env.crypto, rng: &mut *self.env.rng };
        let password = signed
            .password
            .unseal(confirmed, &self.issued.storage, signed.counter, &tools)
            .map_err(|_| ConfirmError::Damaged)?;
        let counters = self.memory.counters();
        let amount = signed.message.transaction().amount;
        let key_only = counters.key_only.after(how, amount, &self.issued.order.confirmation);
        let pin_tries = if how == Condition::Key { counters.pin_tries } else { PIN_TRIES };
        self.memory.commit(Counters { unconfirmed: 0, pin_tries, key_only, ..counters }, None)?;
        self.state = State::Revealed(Arc::new(password));
        Ok(Answer::Revealed)
    }
}

impl LocalChannel for SigningApplet {
    fn state(&self) -> CardState {
        self.state.name()
    }

    fn contact_broken(&mut self) {
        self.interrupt();
    }

    fn contact_over(&mut self) {
        self.state = std::mem::take(&mut self.state).contact_over();
    }

    fn delivered_at(&self) -> Option<Millis> {
        self.state.pending().map(|pending| pending.delivered_at)
    }

    fn transaction(&self) -> Option<&Transaction> {
        self.showing().map(|(pending, _)| pending.signed.message.transaction())
    }

    fn condition(&self) -> Option<Condition> {
        self.showing().map(|(pending, _)| self.condition_of(&pending.signed.message))
    }

    fn tries_left(&self) -> u8 {
        self.memory.counters().pin_tries
    }

    fn pin_accepted(&self) -> bool {
        self.showing().is_some_and(|(_, pin)| pin.is_some())
    }

    fn joint_password(&self) -> Option<&Password> {
        match &self.state {
            State::Revealed(password) => Some(password),
            _ => None,
        }
    }

    fn holder_is_here(&mut self) -> Result<(), NvmError> {
        let counters = self.memory.counters();
        if counters.unconfirmed == 0 {
            return Ok(());
        }
        let pending = self.memory.pending().cloned();
        self.memory.commit(Counters { unconfirmed: 0, ..counters }, pending)
    }

    fn confirm(&mut self, typed: Option<&Pin>) -> Result<Answer, ConfirmError> {
        let Some((pending, before)) = self.showing() else {
            return Err(ConfirmError::NothingToConfirm);
        };
        let (pending, before) = (Arc::clone(pending), before.cloned());
        let how = self.condition_of(&pending.signed.message);
        let wanted = typed.filter(|_| how != Condition::Key);
        let typed = wanted.map(|pin| self.verify_pin(pin)).transpose()?;
        match decide(how, typed, before.as_deref()) {
            Decision::Confirmed(confirmed) => self.reveal(&pending, how, confirmed),
            Decision::PressOnceMore(pin) => self.remember_pin(&pending, pin),
            Decision::PinMissing => Err(ConfirmError::PinMissing),
        }
    }

    fn cancel(&mut self) -> Result<(), NvmError> {
        self.wipe()
    }
}
