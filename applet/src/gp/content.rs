//! INSTALL, DELETE and STORE DATA (GPCS §11.5, §11.2, §11.11).

use onetap_apdu_spec::gp::DataKey;
use onetap_apdu_spec::gp::install::{Delete, Install, NewApplication};
use onetap_apdu_spec::gp::life_cycle::{Privilege, Privileges};
use onetap_apdu_spec::gp::store_data::StoreData;
use onetap_apdu_spec::sw::StatusWord;

use super::domain::{Begun, Personalising, Session};
use super::{NAME, keys, manager, package_of};
use crate::runtime::{Aid, Context, DEFAULT_SELECTED, LOCKED, Reply};

/// The confirmation that is none: no delegated management here.
const NO_CONFIRMATION: [u8; 1] = [0];

impl Session {
    pub(super) fn install(
        &mut self,
        cx: &mut Context<'_>,
        install: &Install,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        match install {
            Install::MakeSelectable(new) => make_selectable(cx, new)?,
            Install::Personalization(instance) => self.personalise(cx, *instance)?,
        }
        reply.send(&NO_CONFIRMATION);
        Ok(())
    }

    fn personalise(&mut self, cx: &mut Context<'_>, instance: Aid) -> Result<(), StatusWord> {
        let manager = manager(cx)?;
        let found = manager.instances().find(|entry| entry.aid == instance);
        let found = found.ok_or(StatusWord::NO_SUCH_OBJECT)?;
        // The domain itself has no data to store.
        if instance == NAME || found.state & LOCKED != 0 {
            return Err(StatusWord::CONDITIONS);
        }
        self.begun = Begun::Personalising(Personalising { instance, next: 0 });
        Ok(())
    }

    /// Hands a block on. The last one ends it, and so does a refusal.
    pub(super) fn store_data(
        &mut self,
        cx: &mut Context<'_>,
        block: &StoreData,
        begun: &Begun,
        data_key: &DataKey,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let Begun::Personalising(Personalising { instance, next }) = *begun else {
            return Err(StatusWord::CONDITIONS);
        };
        if block.number != next {
            return Err(StatusWord::WRONG_P1P2);
        }
        manager(cx)?.store_data(&instance, block, data_key, reply)?;
        if let Some(next) = next.checked_add(1).filter(|_| !block.last) {
            self.begun = Begun::Personalising(Personalising { instance, next });
        }
        Ok(())
    }

    pub(super) fn delete(cx: &mut Context<'_>, delete: Delete, reply: &mut Reply) -> Result<(), StatusWord> {
        match delete {
            Delete::Content { aid, .. } => delete_content(cx, &aid)?,
            Delete::Keys(version) => keys::delete(cx, version)?,
        }
        reply.send(&NO_CONFIRMATION);
        Ok(())
    }
}

fn delete_content(cx: &mut Context<'_>, name: &Aid) -> Result<(), StatusWord> {
    let mut manager = manager(cx)?;
    // Packages are in ROM, and a card without its issuer's domain would be nobody's.
    if *name == NAME || manager.modules().any(|module| package_of(&module) == Some(*name)) {
        return Err(StatusWord::CONDITIONS);
    }
    manager.delete(name)
}

fn make_selectable(cx: &mut Context<'_>, new: &NewApplication) -> Result<(), StatusWord> {
    // No further security domains, and nobody but the issuer manages the card.
    let allowed = Privileges::NONE.with(Privilege::DefaultSelected);
    if new.privileges != Privileges::NONE && new.privileges != allowed {
        return Err(StatusWord::WRONG_DATA);
    }
    if package_of(&new.module) != Some(new.package) {
        return Err(StatusWord::NO_SUCH_OBJECT);
    }
    let mut manager = manager(cx)?;
    let is_default = |privileges: [u8; 3]| privileges[0] & DEFAULT_SELECTED != 0;
    // At most one, or the first in the registry would win (GPCS §6.6).
    if new.privileges == allowed && manager.instances().any(|entry| is_default(entry.privileges)) {
        return Err(StatusWord::CONDITIONS);
    }
    manager.install(&new.module, new.instance, new.privileges.to_bytes(), &new.parameters)
}
