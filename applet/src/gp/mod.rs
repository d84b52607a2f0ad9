//! The issuer security domain: GlobalPlatform on the card (Card Specification v2.3.1, "GPCS", and its
//! Amendment D). The issuer opens a secure channel to it (SCP03), and then installs, personalises, locks and
//! deletes applications, and puts keys.
//!
//! | part | what it does |
//! |---|---|
//! | `domain` | the applet: secure channel, dispatch, GET DATA |
//! | `content` | INSTALL, DELETE, STORE DATA: the card's content |
//! | `registry` | GET STATUS, SET STATUS: what there is, and its life cycle |
//! | `keys` | key sets and their sequence counters in persistent memory, PUT KEY |
//!
//! Every module is in the card's ROM. Its package (executable load file) has the module's AID without the
//! last byte, which is a version.

mod content;
mod domain;
mod keys;
mod registry;

pub use domain::{IssuerDomain, parameters};

use onetap_apdu_spec::gp;
use onetap_apdu_spec::sw::StatusWord;

use crate::runtime::{Aid, Context, Manager, Module};

/// Name of the issuer security domain, as module and as instance.
pub const NAME: Aid = gp::ISD;

/// Privileges of the issuer security domain, for its installation by the manufacturer.
#[must_use]
pub fn privileges() -> [u8; 3] {
    gp::life_cycle::Privileges::ISSUER.to_bytes()
}

/// Its module.
#[must_use]
pub fn module() -> Module {
    Module::new::<IssuerDomain>(NAME).secure_messaging().multiselectable()
}

/// The package that a module is in; `None` for the security domain's own, which cannot be installed again.
fn package_of(module: &Aid) -> Option<Aid> {
    let (_, package) = module.as_bytes().split_last().filter(|_| *module != NAME)?;
    Aid::new(package)
}

/// The card's content. The runtime gives it to instances with the privilege of a security domain.
fn manager<'a>(cx: &'a mut Context<'_>) -> Result<Manager<'a>, StatusWord> {
    cx.manager().ok_or(StatusWord::CONDITIONS)
}
