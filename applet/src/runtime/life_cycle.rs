//! Life cycles of the card and of its instances, and what an abort does to them.

use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;

use super::applet::System;
use super::fault::Fault;
use super::registry::{Instance, LOCKED, SELECTABLE};
use super::system::{CARD_STATE, REGISTRY};

impl System {
    /// Sets the life cycle state of an instance, the bit that locks included: at once, or with the open
    /// transaction.
    pub(super) fn set_state(&mut self, owner: u8, state: u8) -> Result<(), Fault> {
        for instance in self.instances_mut().filter(|instance| instance.owner == owner) {
            instance.state = state;
        }
        self.write_registry().inspect_err(|_| self.recall_life())
    }

    /// As [`System::set_state`], for an instance that sets its own: it cannot unlock itself, nor go back below
    /// SELECTABLE, whose bits every state of an application's own has (GPCS §5.3.1.3).
    pub(super) fn set_own_state(&mut self, owner: u8, state: u8) -> Result<(), Fault> {
        let locked = self.instance(owner).map_or(0, |instance| instance.state & LOCKED);
        self.set_state(owner, (state & !LOCKED) | SELECTABLE | locked)
    }

    /// Sets the card's own state: at once, or with the open transaction.
    pub(super) fn set_life(&mut self, life: CardLifeCycle) -> Result<(), Fault> {
        self.memory.set(CARD_STATE, &life)?;
        self.life = life;
        Ok(())
    }

    /// Commits the open transaction; if that fails, nothing that it changed is true.
    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        self.memory.commit().inspect_err(|_| self.recall_life())
    }

    /// Aborts the open transaction. True if there was one.
    #[inline]
    pub(super) fn abort(&mut self) -> bool {
        let was_open = self.memory.abort();
        if was_open {
            self.recall_life();
        }
        was_open
    }

    /// An applet is through, or panicked: aborts the transaction that it left open. One that is its client's stays open,
    /// but after a panic nothing of it is left, and it cannot be committed.
    #[inline]
    pub(super) fn abort_own(&mut self, panicked: bool) {
        if !self.memory.is_lent() {
            self.abort();
        } else if panicked {
            self.memory.spoil();
            self.recall_life();
        }
    }

    /// Takes all life cycles as they are stored.
    #[cold]
    fn recall_life(&mut self) {
        if let Ok(Some(life)) = self.memory.get(CARD_STATE) {
            self.life = life;
        }
        let stored: Vec<Instance> = self.memory.get(REGISTRY).ok().flatten().unwrap_or_default();
        for instance in self.instances_mut() {
            if let Some(stored) = stored.iter().find(|stored| stored.owner == instance.owner) {
                instance.state = stored.state;
            }
        }
    }
}
