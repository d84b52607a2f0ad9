//! GET STATUS and SET STATUS (GPCS §11.4, §11.10).

use onetap_apdu_spec::gp::life_cycle::{ApplicationLifeCycle, Privileges};
use onetap_apdu_spec::gp::registry::{Entry, GetStatus, RegistryEntry, Scope, SetStatus};
use onetap_apdu_spec::gp::status;
use onetap_apdu_spec::sw::StatusWord;

use super::domain::{Begun, Listing, Session};
use super::{NAME, manager, package_of};
use crate::runtime::{Aid, Context, Instance, LOCKED, Manager, Reply};

/// Most bytes of entries in one answer: secured in any variant, it still fits the short form.
const MAX_ANSWER: usize = 224;

impl Session {
    /// As many entries as fit one answer: 6310 where some are left, for the next GET STATUS that asks for the same.
    pub(super) fn get_status(
        &mut self,
        cx: &mut Context<'_>,
        get: GetStatus,
        begun: Begun,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let asked = GetStatus { next: false, ..get };
        let start = match begun {
            _ if !get.next => 0,
            Begun::Listing(listing) if listing.asked == asked => listing.at,
            _ => return Err(StatusWord::CONDITIONS),
        };
        let entries = entries(&manager(cx)?, asked.scope)?;
        let matching = entries.iter().filter(|entry| entry.aid.as_bytes().starts_with(&asked.aid));
        for (at, entry) in matching.enumerate().skip(start) {
            let encoded = entry.encode(&asked.format);
            if !reply.as_bytes().is_empty() && reply.as_bytes().len() + encoded.len() > MAX_ANSWER {
                self.begun = Begun::Listing(Listing { asked, at });
                return Err(status::MORE_DATA);
            }
            reply.send(&encoded);
        }
        if reply.as_bytes().is_empty() { Err(StatusWord::NO_SUCH_OBJECT) } else { Ok(()) }
    }

    pub(super) fn set_status(cx: &mut Context<'_>, set: SetStatus) -> Result<(), StatusWord> {
        let mut manager = manager(cx)?;
        match set {
            SetStatus::Card(next) => {
                if !manager.card_life().may_become(next) {
                    return Err(StatusWord::CONDITIONS);
                }
                manager.set_card_life(next)
            }
            SetStatus::Application { aid: name, lock } => {
                let state = manager.instances().find(|entry| entry.aid == name).map(|entry| entry.state);
                let state = state.ok_or(StatusWord::NO_SUCH_OBJECT)?;
                if name == NAME || (state & LOCKED != 0) == lock {
                    return Err(StatusWord::CONDITIONS);
                }
                manager.set_state(&name, state ^ LOCKED)
            }
        }
    }
}

/// One part of the registry, as the issuer sees it.
fn entries(manager: &Manager<'_>, scope: Scope) -> Result<Vec<RegistryEntry>, StatusWord> {
    match scope {
        Scope::IssuerDomain => Ok(vec![RegistryEntry {
            aid: NAME,
            entry: Entry::IssuerDomain(manager.card_life()),
            privileges: Privileges::ISSUER,
            package: None,
            modules: Vec::new(),
        }]),
        Scope::Applications => {
            manager.instances().filter(|entry| entry.aid != NAME).map(application).collect()
        }
        Scope::Packages | Scope::Modules => Ok(packages(manager, scope == Scope::Modules)),
    }
}

/// The packages, each once, with the modules in it where they are asked for.
fn packages(manager: &Manager<'_>, with_modules: bool) -> Vec<RegistryEntry> {
    let mut found: Vec<RegistryEntry> = Vec::new();
    for module in manager.modules() {
        let Some(aid) = package_of(&module) else { continue };
        let at = found.iter().position(|entry| entry.aid == aid).unwrap_or_else(|| {
            found.push(package(aid));
            found.len() - 1
        });
        if with_modules {
            found[at].modules.push(module);
        }
    }
    found
}

fn package(aid: Aid) -> RegistryEntry {
    let (entry, privileges) = (Entry::Package, Privileges::NONE);
    RegistryEntry { aid, entry, privileges, package: None, modules: Vec::new() }
}

fn application(instance: &Instance) -> Result<RegistryEntry, StatusWord> {
    Ok(RegistryEntry {
        aid: instance.aid,
        entry: Entry::Application(
            ApplicationLifeCycle::from_code(instance.state).ok_or(StatusWord::INTERNAL)?,
        ),
        privileges: Privileges::from_bytes(&instance.privileges).unwrap_or_default(),
        package: package_of(&instance.module),
        modules: Vec::new(),
    })
}
