//! What a security domain may do with the card's content.

use onetap_apdu_spec::aid::Aid;
use onetap_apdu_spec::gp::DataKey;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::gp::store_data::StoreData;
use onetap_apdu_spec::sw::StatusWord;

use super::applet::System;
use super::channels::BASIC;
use super::registry::Instance;
use super::reply::Reply;

/// The card's content, in the hands of a security domain.
pub struct Manager<'a> {
    system: &'a mut System,
}

impl<'a> Manager<'a> {
    pub(super) fn of(system: &'a mut System, owner: u8) -> Option<Self> {
        let domain = system.instance(owner).is_some_and(Instance::is_security_domain);
        domain.then_some(Self { system })
    }

    /// Modules from which applets can be made.
    pub fn modules(&self) -> impl Iterator<Item = Aid> + '_ {
        self.system.modules.iter().map(|module| module.aid)
    }

    /// All instances, in the order of the registry.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> + '_ {
        self.system.instances()
    }

    /// Makes an instance: all or nothing.
    ///
    /// # Errors
    /// 6A88 no such module, 6985 the name is taken, 6A84 no room, or what the applet answered.
    pub fn install(
        &mut self,
        module: &Aid,
        aid: Aid,
        privileges: [u8; 3],
        parameters: &[u8],
    ) -> Result<(), StatusWord> {
        self.system.install(module, aid, privileges, parameters)
    }

    /// Deletes an instance with all that it stored.
    ///
    /// # Errors
    /// 6A88 no such instance, 6985 it is selected.
    pub fn delete(&mut self, aid: &Aid) -> Result<(), StatusWord> {
        self.system.delete(aid)
    }

    /// Sets an instance's life cycle state.
    ///
    /// # Errors
    /// 6A88 no such instance, 6581 the memory failed; then the state is as before.
    pub fn set_state(&mut self, aid: &Aid, state: u8) -> Result<(), StatusWord> {
        let owner = self.instances().find(|instance| instance.aid == *aid).map(|instance| instance.owner);
        let owner = owner.ok_or(StatusWord::NO_SUCH_OBJECT)?;
        self.system.set_state(owner, state).map_err(StatusWord::from)
    }

    /// Hands a block of personalisation data to an instance.
    ///
    /// # Errors
    /// 6A88 no such instance, or what the applet answered.
    pub fn store_data(
        &mut self,
        aid: &Aid,
        block: &StoreData,
        data_key: &DataKey,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let at = self.system.position(aid).ok_or(StatusWord::NO_SUCH_OBJECT)?;
        self.system.run(at, BASIC, |applet, cx| applet.store_data(cx, block, data_key, reply))
    }

    /// The card's life cycle state.
    #[must_use]
    pub fn card_life(&self) -> CardLifeCycle {
        self.system.life
    }

    /// Sets the card's life cycle state.
    ///
    /// # Errors
    /// 6581; then the state is as before.
    pub fn set_card_life(&mut self, life: CardLifeCycle) -> Result<(), StatusWord> {
        self.system.set_life(life).map_err(StatusWord::from)
    }
}
