//! What the system does: opens the card, lets applets run, makes, selects and deletes them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use onetap_apdu_spec::aid::Aid;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::sw::StatusWord;
use serde::de::DeserializeOwned;

use super::applet::{Applet, Context, Module, Slot, System, Traits};
use super::channels::Channels;
use super::fault::Fault;
use super::limits::Work;
use super::memory::{Memory, TransientMemory};
use super::registry::{Instance, Occurrence, SELECTABLE};
use super::reply::Reply;
use crate::card::{Environment, Meter, Millis};
use crate::nvm::{Nvm, ObjectId};

/// The runtime itself as an owner of objects.
const RUNTIME: u8 = 0;
pub(super) const REGISTRY: ObjectId = ObjectId { owner: RUNTIME, number: 0 };
pub(super) const CARD_STATE: ObjectId = ObjectId { owner: RUNTIME, number: 1 };
const HEIRLOOMS: ObjectId = ObjectId { owner: RUNTIME, number: 2 };
/// Most instances that a card may have.
const MAX_INSTANCES: u8 = 64;

/// Stands for a module that is not in this program.
fn absent(aid: Aid) -> Module {
    const GONE: StatusWord = StatusWord::NO_SUCH_OBJECT;
    Module { aid, install: |_, _| Err(GONE), load: |_| Err(GONE), traits: Traits::default() }
}

pub(super) fn slot_of(owner: u8) -> usize {
    usize::from(owner).wrapping_sub(1)
}

impl System {
    fn empty(memory: Memory, modules: &[Module], env: Environment, life: CardLifeCycle) -> Self {
        let meter = Meter::new(env.limits.costs);
        Self {
            memory,
            transient: TransientMemory::new(env.limits.transient),
            channels: Channels::new(env.limits.channels),
            env: Environment { crypto: meter.provider(env.crypto), ..env },
            meter,
            modules: modules.to_vec(),
            life,
            slots: Vec::new(),
        }
    }

    /// A card without instances.
    pub(super) fn format(nvm: Nvm, modules: &[Module], env: Environment) -> Result<Self, Fault> {
        let memory = Memory::new(nvm, &env.limits);
        let mut system = Self::empty(memory, modules, env, CardLifeCycle::OpReady);
        system.memory.begin()?;
        system.memory.set(CARD_STATE, &system.life)?;
        system.write_registry()?;
        system.memory.commit()?;
        Ok(system)
    }

    /// The card that the memory holds. An applet that cannot be loaded is there, but cannot be selected.
    pub(super) fn open(nvm: Nvm, modules: &[Module], env: Environment) -> Result<Self, Fault> {
        let memory = Memory::new(nvm, &env.limits);
        let life = memory.get(CARD_STATE)?.ok_or(Fault::NoSuchObject(CARD_STATE.number))?;
        let registry: Vec<Instance> = memory.get(REGISTRY)?.ok_or(Fault::NoSuchObject(REGISTRY.number))?;
        let mut system = Self::empty(memory, modules, env, life);
        for instance in registry {
            if !(1..=MAX_INSTANCES).contains(&instance.owner) {
                return Err(Fault::NoSuchObject(REGISTRY.number));
            }
            // What this program has no module for stays on the card, with its memory.
            let module = system.module(&instance.module).unwrap_or_else(|| absent(instance.module));
            let at = slot_of(instance.owner);
            system.place(at, Slot { instance, module, applet: None, running: false });
            system.load(at);
        }
        Ok(system)
    }

    fn place(&mut self, at: usize, slot: Slot) {
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(slot);
        }
    }

    pub(super) fn module(&self, aid: &Aid) -> Option<Module> {
        self.modules.iter().find(|module| module.aid == *aid).copied()
    }

    pub(super) fn instances(&self) -> impl DoubleEndedIterator<Item = &Instance> {
        self.slots.iter().flatten().map(|slot| &slot.instance)
    }

    pub(super) fn instances_mut(&mut self) -> impl Iterator<Item = &mut Instance> {
        self.slots.iter_mut().flatten().map(|slot| &mut slot.instance)
    }

    pub(super) fn instance(&self, owner: u8) -> Option<&Instance> {
        self.slot(slot_of(owner)).map(|slot| &slot.instance)
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        self.slots.get(at)?.as_ref()
    }

    fn slot_mut(&mut self, at: usize) -> Option<&mut Slot> {
        self.slots.get_mut(at)?.as_mut()
    }

    pub(super) fn applet(&self, at: usize) -> Option<&dyn Applet> {
        self.slot(at)?.applet.as_deref()
    }

    #[inline]
    pub(super) fn traits(&self, at: usize) -> Traits {
        self.slot(at).map(|slot| slot.module.traits).unwrap_or_default()
    }

    /// The slot of the instance of exactly this name.
    pub(super) fn position(&self, aid: &Aid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.instance.aid == *aid))
    }

    /// The slot that a name, whole, partial or none, means to a reader.
    pub(super) fn find(&self, name: &[u8], occurrence: Occurrence, current: Option<usize>) -> Option<usize> {
        if name.is_empty() {
            let domain = self.issuer_domain();
            return occurrence.pick(domain.into_iter(), current.filter(|at| domain == Some(*at)));
        }
        let matches = |slot: &Slot| slot.instance.aid.answers_to(name) && self.may_be_selected(slot);
        let current = current.filter(|at| self.slot(*at).is_some_and(matches));
        let matching = (0..self.slots.len()).filter(|at| self.slot(*at).is_some_and(matches));
        occurrence.pick(matching, current)
    }

    /// The instance that is selected on the basic channel at reset: the one that was given this privilege, or else the
    /// issuer's security domain, whose it is at first (GPCS §6.6).
    pub(super) fn default_instance(&self) -> Option<usize> {
        self.first_selectable(Instance::is_default).or_else(|| self.issuer_domain())
    }

    /// The issuer's security domain, which a name of no bytes means: the first domain of the registry.
    pub(super) fn issuer_domain(&self) -> Option<usize> {
        self.first_selectable(Instance::is_security_domain)
    }

    fn first_selectable(&self, wanted: impl Fn(&Instance) -> bool) -> Option<usize> {
        let fits = |slot: &Slot| wanted(&slot.instance) && self.may_be_selected(slot);
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(fits))
    }

    fn may_be_selected(&self, slot: &Slot) -> bool {
        slot.applet.is_some() && self.may_be_used(slot)
    }

    /// True if the applet in a slot may be used: neither it nor the card is locked.
    #[inline]
    pub(super) fn in_service(&self, at: usize) -> bool {
        self.slot(at).is_some_and(|slot| self.may_be_used(slot))
    }

    fn may_be_used(&self, slot: &Slot) -> bool {
        let life = match self.life {
            CardLifeCycle::OpReady | CardLifeCycle::Initialized | CardLifeCycle::Secured => true,
            CardLifeCycle::Locked => slot.instance.is_security_domain(),
            CardLifeCycle::Terminated => false,
        };
        life && slot.instance.is_selectable()
    }

    /// Lets the applet in a slot run on a channel. Afterwards no transaction of its own is open. After a panic
    /// the applet is loaded anew, and the answer is 6F00.
    pub(super) fn run<R>(
        &mut self,
        at: usize,
        channel: u8,
        work: impl FnOnce(&mut dyn Applet, &mut Context<'_>) -> Result<R, StatusWord>,
    ) -> Result<R, StatusWord> {
        let Some(slot) = self.slots.get_mut(at).and_then(Option::as_mut) else {
            return Err(StatusWord::CONDITIONS);
        };
        let (owner, taken) = (slot.instance.owner, slot.applet.take());
        let Some(mut applet) = taken else { return Err(StatusWord::CONDITIONS) };
        slot.running = true;
        let mut cx = Context { system: self, owner, channel, client: None };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut *applet, &mut cx)));
        self.abort_own(outcome.is_err());
        self.settle();
        if let Some(slot) = self.slot_mut(at) {
            slot.running = false;
        }
        match outcome {
            Ok(result) => {
                if let Some(slot) = self.slot_mut(at) {
                    slot.applet = Some(applet);
                }
                result
            }
            Err(_) => {
                self.load(at);
                Err(StatusWord::INTERNAL)
            }
        }
    }

    /// Lets the clock go on by what was done since.
    #[inline]
    pub(super) fn settle(&mut self) {
        if !self.meter.is_idle() {
            self.meter.charge(Work::Pages(self.memory.take_written()));
            let worked = self.meter.take();
            if worked > Millis(0) {
                self.env.clock.pass(worked);
            }
        }
    }

    /// Takes an applet up from what it stored.
    fn load(&mut self, at: usize) {
        let Some(slot) = self.slot(at) else { return };
        let (owner, load) = (slot.instance.owner, slot.module.load);
        let mut cx = Context { system: self, owner, channel: super::channels::BASIC, client: None };
        let applet = catch_unwind(AssertUnwindSafe(|| load(&mut cx)));
        self.abort_own(applet.is_err());
        self.settle();
        if let Some(slot) = self.slot_mut(at) {
            slot.applet = applet.ok().and_then(Result::ok);
        }
    }

    /// Makes an instance: all or nothing.
    pub(super) fn install(
        &mut self,
        module: &Aid,
        aid: Aid,
        privileges: [u8; 3],
        parameters: &[u8],
    ) -> Result<(), StatusWord> {
        let module = self.module(module).ok_or(StatusWord::NO_SUCH_OBJECT)?;
        if self.position(&aid).is_some() {
            return Err(StatusWord::CONDITIONS);
        }
        let taken = |slot: &Slot| slot.module.aid == module.aid;
        if module.traits.heirloom.is_some() && self.slots.iter().flatten().any(taken) {
            return Err(StatusWord::CONDITIONS);
        }
        let owner = self.free_owner().ok_or(StatusWord::NO_SPACE)?;
        self.memory.begin_held().map_err(StatusWord::from)?;
        let mut cx = Context { system: self, owner, channel: super::channels::BASIC, client: None };
        let made = catch_unwind(AssertUnwindSafe(|| (module.install)(&mut cx, parameters)));
        let made = made.unwrap_or(Err(StatusWord::INTERNAL)).and_then(|applet| {
            let instance = Instance { aid, module: module.aid, state: SELECTABLE, privileges, owner };
            self.register(instance, module, applet)
        });
        self.memory.abort();
        self.settle();
        if made.is_err() {
            self.transient.uninstalled(owner);
        }
        made
    }

    fn free_owner(&self) -> Option<u8> {
        (1..=MAX_INSTANCES).find(|owner| self.slot(slot_of(*owner)).is_none())
    }

    /// Writes the registry with the applet's own objects, in the transaction that its installation is.
    fn register(
        &mut self,
        instance: Instance,
        module: Module,
        applet: Box<dyn Applet>,
    ) -> Result<(), StatusWord> {
        let at = slot_of(instance.owner);
        self.place(at, Slot { instance, module, applet: Some(applet), running: false });
        let written = self.write_registry().and_then(|()| self.memory.commit());
        if written.is_err() {
            self.vacate(at);
        }
        written.map_err(StatusWord::from)
    }

    fn vacate(&mut self, at: usize) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = None;
        }
    }

    pub(super) fn write_registry(&mut self) -> Result<(), Fault> {
        let registry: Vec<Instance> = self.instances().cloned().collect();
        self.memory.set(REGISTRY, &registry)
    }

    /// Deletes an instance and all that it stored. Refused while it is selected or runs.
    pub(super) fn delete(&mut self, aid: &Aid) -> Result<(), StatusWord> {
        let at = self.position(aid).ok_or(StatusWord::NO_SUCH_OBJECT)?;
        let selected = (0..onetap_apdu_spec::class::MAX_CHANNELS)
            .any(|channel| self.channels.selected(channel) == Some(at));
        if selected || self.slot(at).is_some_and(|slot| slot.running) {
            return Err(StatusWord::CONDITIONS);
        }
        // Whatever the applet does now: it goes.
        let _ = self.run(at, super::channels::BASIC, |applet, cx| {
            applet.uninstall(cx);
            Ok(())
        });
        let Some(slot) = self.slots.get_mut(at).and_then(Option::take) else {
            return Err(StatusWord::NO_SUCH_OBJECT);
        };
        let owner = slot.instance.owner;
        let gone = self.memory.begin().and_then(|()| {
            self.bequeath(&slot)?;
            self.memory.remove_all(owner)?;
            self.write_registry()?;
            self.memory.commit()
        });
        self.memory.abort();
        self.settle();
        if let Err(why) = gone {
            self.place(at, slot);
            return Err(why.into());
        }
        self.transient.uninstalled(owner);
        Ok(())
    }

    /// Keeps what the next instance of the module inherits, with the transaction that deletes this one.
    fn bequeath(&mut self, slot: &Slot) -> Result<(), Fault> {
        let id = slot.module.traits.heirloom.map(|number| ObjectId { owner: slot.instance.owner, number });
        let Some(left) = id.and_then(|id| self.memory.read(id)).map(<[u8]>::to_vec) else { return Ok(()) };
        let mut kept = self.heirlooms()?;
        kept.retain(|(module, _)| *module != slot.module.aid);
        kept.push((slot.module.aid, left));
        self.memory.set(HEIRLOOMS, &kept)
    }

    /// What the last instance of a module left.
    pub(super) fn inherited<T: DeserializeOwned>(&self, module: &Aid) -> Result<Option<T>, Fault> {
        let kept = self.heirlooms()?;
        let left = kept.iter().find(|(by, _)| by == module);
        let read = |(_, bytes): &(Aid, Vec<u8>)| postcard::from_bytes(bytes);
        left.map(read).transpose().map_err(|_| Fault::NoSuchObject(HEIRLOOMS.number))
    }

    /// By module, what its last instance left.
    fn heirlooms(&self) -> Result<Vec<(Aid, Vec<u8>)>, Fault> {
        Ok(self.memory.get(HEIRLOOMS)?.unwrap_or_default())
    }

    /// Deselects what is selected on a channel.
    pub(super) fn deselect(&mut self, channel: u8) {
        let Some(at) = self.channels.selected(channel) else { return };
        // What an applet does here cannot keep it selected.
        let _ = self.run(at, channel, |applet, cx| {
            applet.deselect(cx);
            Ok(())
        });
        self.channels.select(channel, None);
        self.forget_selection_of(at, channel);
    }

    /// What an applet kept until it is deselected goes.
    fn forget_selection_of(&mut self, at: usize, channel: u8) {
        if let Some(slot) = self.slot(at) {
            self.transient.deselected(slot.instance.owner, channel);
        }
    }

    /// Selects the applet in a slot; what was selected on the channel is deselected first.
    pub(super) fn select(&mut self, at: usize, channel: u8, reply: &mut Reply) -> Result<(), StatusWord> {
        if !self.in_service(at) {
            return Err(StatusWord::CONDITIONS);
        }
        let multiselectable = self.traits(at).multiselectable;
        if !multiselectable && self.channels.is_selected_elsewhere(at, channel) {
            return Err(StatusWord::CONDITIONS);
        }
        self.deselect(channel);
        match self.run(at, channel, |applet, cx| applet.select(cx, reply)) {
            Ok(()) => {
                self.channels.select(channel, Some(at));
                Ok(())
            }
            Err(_) => {
                self.forget_selection_of(at, channel);
                Err(StatusWord::SELECT_FAILED)
            }
        }
    }

    /// Power went or came, or the card was reset.
    pub(super) fn reset(&mut self) {
        self.transient.reset();
        self.channels.reset();
        for at in 0..self.slots.len() {
            let Some(applet) = self.slot_mut(at).and_then(|slot| slot.applet.as_mut()) else { continue };
            if catch_unwind(AssertUnwindSafe(|| applet.reset())).is_err() {
                self.load(at);
            }
        }
    }
}
