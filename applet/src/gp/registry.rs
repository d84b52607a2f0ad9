//! GET STATUS and SET STATUS (GPCS §11.4, §11.10).

use onetap_apdu_spec::gp::life_cycle::{ApplicationLifeCycle, Privileges};
use onetap_apdu_spec::gp::registry::{Entry, GetStatus, RegistryEntry, Scope, SetStatus};
use onetap_apdu_spec::gp::status;
use onetap_apdu_spec::sw::StatusWord;

use super::domain::{Cursor, Session};
use super::{NAME, manager, package_of};
use crate::runtime::{Context, Instance, LOCKED, Manager, Reply};

/// Most bytes of entries in one answer: secured, it still fits the short form.
const MAX_ANSWER: usize = 224;

impl Session {
    pub(super) fn get_status(
        &mut self,
        cx: &mut Context<'_>,
        get: &GetStatus,
        cursor: Option<Cursor>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        let (scope, name) = (get.scope, &get.aid);
        let start = match cursor {
            _ if !get.next => 0,
            Some(cursor) if (cursor.scope, &cursor.aid) == (scope, name) => cursor.at,
            _ => return Err(StatusWord::CONDITIONS),
        };
        let entries = entries(&manager(cx)?, scope)?;
        let matching = entries.iter().filter(|entry| entry.aid.as_bytes().starts_with(name));
        for (at, entry) in matching.enumerate().skip(start) {
            let encoded = entry.encode();
            if !reply.as_bytes().is_empty() && reply.as_bytes().len() + encoded.len() > MAX_ANSWER {
                self.cursor = Some(Cursor { scope, aid: name.clone(), at });
                return Err(status::MORE_DATA);
            }
            reply.send(&encoded);
        }
        if reply.as_bytes().is_empty() { Err(StatusWord::NO_SUCH_OBJECT) } else { Ok(()) }
    }

    pub(super) fn set_status(&mut self, cx: &mut Context<'_>, set: SetStatus) -> Result<(), StatusWord> {
        self.personalising = None;
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
        }]),
        Scope::Applications => {
            manager.instances().filter(|entry| entry.aid != NAME).map(application).collect()
        }
        Scope::Packages => Ok(manager
            .modules()
            .filter_map(|module| package_of(&module))
            .map(|aid| RegistryEntry {
                aid,
                entry: Entry::Package,
                privileges: Privileges::NONE,
                package: None,
            })
            .collect()),
    }
}

fn application(instance: &Instance) -> Result<RegistryEntry, StatusWord> {
    Ok(RegistryEntry {
        aid: instance.aid,
        entry: Entry::Application(
            ApplicationLifeCycle::from_code(instance.state).ok_or(StatusWord::INTERNAL)?,
        ),
        privileges: Privileges::from_bytes(&instance.privileges).unwrap_or_default(),
        package: package_of(&instance.module),
    })
}
