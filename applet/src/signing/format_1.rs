//! What the applet stored in images of format 1: version (2), length (4) and bytes of what was fixed at
//! personalisation, then what changed; both parts in postcard. It is read here for ever and written no more.

use onetap_apdu_spec::crypto::{Block, Key256};
use onetap_apdu_spec::personal::Personalisation;
use serde::Deserialize;

use super::confirm::KeyOnly;
use super::memory::{Counters, Issued, Memory, StoredPending};
use super::pin::PIN;
use super::tools::{Bytes, StorageKeys};
use crate::runtime::{Context, Fault, PERSONALISED, PinRecord};

const VERSION: u16 = 1;
const PREFIX: usize = 6;

#[derive(Deserialize)]
struct OldIssued {
    order: Personalisation,
    signing_key: Bytes,
    storage: OldStorageKeys,
    pin: OldPin,
}

#[derive(Deserialize)]
struct OldStorageKeys {
    seal_encryption: Key256,
    seal_mac: Key256,
    pin_mac: Key256,
}

#[derive(Deserialize)]
struct OldPin {
    salt: Block,
    check: Block,
}

#[derive(Deserialize)]
struct OldChanging {
    counters: OldCounters,
    pending: Option<StoredPending>,
}

#[derive(Deserialize)]
struct OldCounters {
    counter: u32,
    unconfirmed: u8,
    pin_tries: u8,
    key_only: KeyOnly,
}

/// What an image of format 1 held.
pub(crate) struct Old {
    issued: OldIssued,
    changing: OldChanging,
}

impl Old {
    /// Reads it; `None` if it makes no sense.
    pub(crate) fn parse(image: &[u8]) -> Option<Self> {
        let (&[v, w, a, b, c, d], rest) = image.split_first_chunk::<PREFIX>()?;
        if u16::from_be_bytes([v, w]) != VERSION {
            return None;
        }
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let (fixed, changing) = rest.split_at_checked(len)?;
        Some(Self {
            issued: postcard::from_bytes(fixed).ok()?,
            changing: postcard::from_bytes(changing).ok()?,
        })
    }

    /// Stores it as it is stored today, in one transaction.
    pub(super) fn store(self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let OldIssued { order, signing_key, storage, pin } = self.issued;
        let OldStorageKeys { seal_encryption, seal_mac, pin_mac } = storage;
        let issued = Issued { order, signing_key, storage: StorageKeys { seal_encryption, seal_mac } };
        let OldCounters { counter, unconfirmed, pin_tries, key_only } = self.changing.counters;
        cx.transaction(|cx| {
            cx.set_life_cycle(PERSONALISED)?;
            PIN.restore(cx, &PinRecord::from_parts(pin_mac, pin.salt, pin.check), pin_tries)?;
            Memory::restore(cx, &issued, Counters { counter, unconfirmed, key_only }, self.changing.pending)
        })
    }
}
