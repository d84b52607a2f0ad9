//! What an applet can reach while it runs: its own memory, and the card's tools.

use onetap_apdu_spec::aid::Aid;
use onetap_apdu_spec::crypto::Crypto;
use onetap_apdu_spec::rng::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::applet::Context;
use super::fault::Fault;
use super::limits::Work;
use super::manager::Manager;
use super::memory::{Clear, Field, Transient, missing};
use super::registry::Instance;
use super::system::slot_of;
use crate::card::Millis;
use crate::nvm::ObjectId;

impl Context<'_> {
    fn id(&self, number: u8) -> ObjectId {
        ObjectId { owner: self.owner, number }
    }

    /// Reads a persistent object.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`].
    pub fn get<T: DeserializeOwned>(&self, field: &Field<T>) -> Result<T, Fault> {
        self.find(field)?.ok_or_else(missing(field.number))
    }

    /// Reads a persistent object, if there is one.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`], if it is of another type.
    pub fn find<T: DeserializeOwned>(&self, field: &Field<T>) -> Result<Option<T>, Fault> {
        self.system.memory.get(self.id(field.number))
    }

    /// What the instance of this module that was deleted last left behind ([`Module::heirloom`]), if there was
    /// one. Nothing in `install`.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`], if it is of another type.
    ///
    /// [`Module::heirloom`]: super::Module::heirloom
    pub fn inherited<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        let Some(instance) = self.instance() else { return Ok(None) };
        self.system.inherited(&instance.module)
    }

    /// Writes a persistent object: at once, or with the open transaction.
    ///
    /// # Errors
    /// [`Fault::Nvm`], [`Fault::BufferFull`]; then the object is as before.
    pub fn set<T: Serialize>(&mut self, field: &Field<T>, value: &T) -> Result<(), Fault> {
        let id = self.id(field.number);
        self.system.memory.set(id, value)
    }

    /// Writes a persistent object at once even if a transaction is open: no abort takes it back. In `install`
    /// it is as [`Context::set`].
    ///
    /// # Errors
    /// [`Fault::Nvm`]; then the object is as before.
    pub fn set_now<T: Serialize>(&mut self, field: &Field<T>, value: &T) -> Result<(), Fault> {
        let id = self.id(field.number);
        self.system.memory.set_now(id, value)
    }

    /// Removes a persistent object, if there is one: at once, or with the open transaction.
    ///
    /// # Errors
    /// [`Fault::Nvm`], [`Fault::BufferFull`]; then the object is as before.
    pub fn remove<T>(&mut self, field: &Field<T>) -> Result<(), Fault> {
        let id = self.id(field.number);
        self.system.memory.remove(id)
    }

    /// Bytes of persistent memory that are free, for all applets together.
    #[must_use]
    pub fn free(&self) -> usize {
        self.system.memory.free()
    }

    /// True if the open transaction changes an object.
    pub(super) fn is_staged<T>(&self, field: &Field<T>) -> bool {
        self.system.memory.is_staged(self.id(field.number))
    }

    /// Opens a transaction. It is aborted when the applet returns without [`Context::commit`].
    ///
    /// # Errors
    /// [`Fault::TransactionOpen`]: transactions do not nest, and `install` runs in one.
    pub fn begin(&mut self) -> Result<(), Fault> {
        self.system.memory.begin()
    }

    /// Makes all writes since [`Context::begin`] true in one step, which a tear does not divide.
    ///
    /// # Errors
    /// [`Fault::NoTransaction`], [`Fault::Nvm`]; then nothing was written. The transaction that `install` runs
    /// in is the runtime's, and that of a client is the client's: it is none to an applet. [`Fault::ServerFailed`],
    /// if an applet that was called in it panicked.
    pub fn commit(&mut self) -> Result<(), Fault> {
        if self.system.memory.is_anothers() { Err(Fault::NoTransaction) } else { self.system.commit() }
    }

    /// Takes back all writes since [`Context::begin`].
    ///
    /// # Errors
    /// [`Fault::NoTransaction`], as for [`Context::commit`].
    pub fn abort(&mut self) -> Result<(), Fault> {
        let ended = !self.system.memory.is_anothers() && self.system.abort();
        if ended { Ok(()) } else { Err(Fault::NoTransaction) }
    }

    /// True between [`Context::begin`] and its end.
    #[must_use]
    pub fn transaction_open(&self) -> bool {
        self.system.memory.transaction_open()
    }

    /// Bytes of the commit buffer that the open transaction has not taken.
    #[must_use]
    pub fn commit_capacity(&self) -> usize {
        self.system.memory.commit_capacity()
    }

    /// All writes of `work` in one step; none, if it fails.
    ///
    /// # Errors
    /// What `work` failed with, or [`Fault`].
    pub fn transaction<R, E: From<Fault>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.begin()?;
        match work(self) {
            Ok(result) => self.commit().map(|()| result).map_err(E::from),
            Err(why) => {
                self.system.abort();
                Err(why)
            }
        }
    }

    /// Reads a transient object.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`], if it is of another type; [`Fault::IllegalTransient`].
    pub fn transient<T: DeserializeOwned + Default>(&self, name: &Transient<T>) -> Result<T, Fault> {
        self.admit_transient(name.clear)?;
        self.system.transient.get(self.owner, self.channel, name)
    }

    /// Writes a transient object.
    ///
    /// # Errors
    /// [`Fault::NoTransientSpace`], [`Fault::IllegalTransient`].
    pub fn set_transient<T: Serialize>(&mut self, name: &Transient<T>, value: &T) -> Result<(), Fault> {
        self.admit_transient(name.clear)?;
        self.system.transient.set(self.owner, self.channel, name, value)
    }

    /// A server that a client calls has no CLEAR_ON_DESELECT memory unless it is selected on the channel, too: nothing
    /// would clear it (JCRE §5.1).
    fn admit_transient(&self, clear: Clear) -> Result<(), Fault> {
        let selected = || self.system.channels.selected(self.channel) == Some(slot_of(self.owner));
        let lost = clear == Clear::OnDeselect && self.client.is_some() && !selected();
        if lost { Err(Fault::IllegalTransient) } else { Ok(()) }
    }

    /// The provider of cryptography.
    #[must_use]
    pub fn crypto(&self) -> &'static dyn Crypto {
        self.system.env.crypto
    }

    /// The card's random numbers.
    pub fn rng(&mut self) -> &mut dyn Rng {
        &mut *self.system.env.rng
    }

    /// The provider and the random numbers together.
    pub fn tools(&mut self) -> (&'static dyn Crypto, &mut dyn Rng) {
        (self.system.env.crypto, &mut *self.system.env.rng)
    }

    /// Makes a key pair to sign with (PKCS#8) on the card.
    ///
    /// # Errors
    /// [`Fault::Crypto`].
    pub fn make_signing_key(
        &mut self,
        key: onetap_apdu_spec::crypto::SigningKeyType,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
        let crypto = self.system.env.crypto;
        Ok(self.system.env.keys.make(crypto, key)?)
    }

    /// The card's battery-backed clock; `None` after the battery was lost. What the applet has done so far in a command
    /// takes its time at the end of it ([`Costs`](super::Costs)).
    #[must_use]
    pub fn now(&self) -> Option<Millis> {
        self.system.env.clock.now()
    }

    /// Something that takes time was done.
    pub(crate) fn worked(&self, work: Work) {
        self.system.meter.charge(work);
    }

    /// Logical channel, 0 … 19.
    #[must_use]
    pub fn channel(&self) -> u8 {
        self.channel
    }

    /// The instance's AID.
    #[must_use]
    pub fn aid(&self) -> Option<Aid> {
        self.instance().map(|instance| instance.aid)
    }

    /// The instance's entry in the registry; none while it is being installed.
    #[must_use]
    pub fn instance(&self) -> Option<&Instance> {
        self.system.instance(self.owner)
    }

    /// Sets the instance's own life cycle state, between the bit that locks and those of SELECTABLE: at once,
    /// or with the open transaction.
    ///
    /// # Errors
    /// [`Fault::Nvm`]; then the state is as before.
    pub fn set_life_cycle(&mut self, state: u8) -> Result<(), Fault> {
        self.system.set_own_state(self.owner, state)
    }

    /// What a security domain may do with the card; `None` for every other applet.
    pub fn manager(&mut self) -> Option<Manager<'_>> {
        Manager::of(self.system, self.owner)
    }
}
