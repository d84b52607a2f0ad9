//! Key sets in persistent memory, each with its sequence counter. No counter starts below one that was ever
//! reached: keys that come back would open the channels of old once more, to whoever recorded them.

use onetap_apdu_spec::crypto::AesKey;
use onetap_apdu_spec::gp::put_key::PutKey;
use onetap_apdu_spec::gp::registry::KeyInformation;
use onetap_apdu_spec::gp::scp03::SequenceCounter;
use onetap_apdu_spec::gp::{DataKey, KeySet, KeyVersion, status};
use onetap_apdu_spec::sw::StatusWord;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::runtime::{Context, Fault, Field};

/// Key sets that there is room for.
const SLOTS: u8 = 4;

const fn keys(slot: u8) -> Field<StoredKeys> {
    Field::new(2 * slot)
}

const fn sequence(slot: u8) -> Field<u32> {
    Field::new(2 * slot + 1)
}

/// A key set as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKeys {
    version: u8,
    /// Encryption, MAC, data encryption.
    keys: [Vec<u8>; 3],
}

impl Drop for StoredKeys {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl StoredKeys {
    fn of(set: &KeySet) -> Self {
        Self { version: set.version().get(), keys: set.keys().map(|key| key.expose().to_vec()) }
    }

    fn open(&self) -> Option<KeySet> {
        let [enc, mac, dek] = self.keys.each_ref().map(|key| AesKey::try_from(&key[..]).ok());
        KeySet::new(KeyVersion::new(self.version)?, enc?, mac?, dek?).ok()
    }
}

/// A key set and where it is stored.
struct Slot {
    number: u8,
    set: KeySet,
}

fn slots(cx: &Context<'_>) -> Result<Vec<Slot>, Fault> {
    let mut found = Vec::new();
    for number in 0..SLOTS {
        if let Some(stored) = cx.find(&keys(number))? {
            let set = stored.open().ok_or(Fault::NoSuchObject(2 * number))?;
            found.push(Slot { number, set });
        }
    }
    Ok(found)
}

/// Stores a key set, with the transaction that is open.
fn store(cx: &mut Context<'_>, slot: u8, set: &KeySet) -> Result<(), Fault> {
    let used = highest_sequence(cx)?;
    cx.set(&keys(slot), &StoredKeys::of(set))?;
    cx.set(&sequence(slot), &used)
}

/// The highest sequence counter of all key sets, deleted ones among them.
fn highest_sequence(cx: &Context<'_>) -> Result<u32, Fault> {
    let mut counters = (0..SLOTS).map(|slot| cx.find(&sequence(slot)));
    counters.try_fold(0, |highest, counter| Ok(highest.max(counter?.unwrap_or(0))))
}

/// True while the well-known key set is there.
pub(super) fn are_initial(cx: &Context<'_>) -> Result<bool, Fault> {
    Ok(slots(cx)?.iter().any(|slot| slot.set.version() == KeyVersion::INITIAL))
}

/// The key set that a card is made with, with the transaction that installation is.
pub(super) fn initialise(cx: &mut Context<'_>) -> Result<(), Fault> {
    store(cx, 0, &KeySet::TEST)
}

/// The key set of a version, 0 for the first that there is, and the next value of its sequence counter,
/// which is in persistent memory before it is used.
pub(super) fn next_channel(
    cx: &mut Context<'_>,
    version: u8,
) -> Result<(KeySet, SequenceCounter), StatusWord> {
    let found = slots(cx)?.into_iter().find(|slot| version == 0 || slot.set.version().get() == version);
    let Slot { number, set } = found.ok_or(StatusWord::NO_SUCH_OBJECT)?;
    let used = SequenceCounter::new(cx.get(&sequence(number))?).ok_or(StatusWord::INTERNAL)?;
    let next = used.next().ok_or(StatusWord::CONDITIONS)?;
    cx.set_now(&sequence(number), &next.get())?;
    Ok((set, next))
}

/// What GET DATA tells of the keys.
pub(super) fn information(cx: &Context<'_>) -> Result<Vec<u8>, StatusWord> {
    let keys: Vec<_> = slots(cx)?
        .iter()
        .flat_map(|slot| KeyInformation::of_set(slot.set.version(), slot.set.bits()))
        .collect();
    Ok(KeyInformation::encode_all(&keys))
}

/// DELETE of a key set; the last one stays, or nobody could manage the card again.
pub(super) fn delete(cx: &mut Context<'_>, version: KeyVersion) -> Result<(), StatusWord> {
    let slots = slots(cx)?;
    let found = slots.iter().find(|slot| slot.set.version() == version);
    let number = found.ok_or(StatusWord::NO_SUCH_OBJECT)?.number;
    if slots.len() == 1 {
        return Err(StatusWord::CONDITIONS);
    }
    // Its sequence counter stays.
    Ok(cx.remove(&keys(number))?)
}

/// PUT KEY: adds a key set, or replaces one, in one step. The initial one goes with the first that is put.
pub(super) fn put(cx: &mut Context<'_>, put: &PutKey, data_key: &DataKey) -> Result<Vec<u8>, StatusWord> {
    let slots = slots(cx)?;
    let slot_of = |version| slots.iter().find(|slot| slot.set.version() == version).map(|slot| slot.number);
    let slot = match put.replaces {
        Some(version) => slot_of(version).ok_or(StatusWord::NO_SUCH_OBJECT)?,
        None => slot_of(KeyVersion::INITIAL)
            .or_else(|| (0..SLOTS).find(|number| slots.iter().all(|slot| slot.number != *number)))
            .ok_or(StatusWord::NO_SPACE)?,
    };
    if slot_of(put.version).is_some_and(|taken| taken != slot) {
        return Err(StatusWord::WRONG_DATA);
    }
    let set = put.open(cx.crypto(), data_key).map_err(|_| status::KEY_CHECK_FAILED)?;
    cx.transaction(|cx| store(cx, slot, &set)).map_err(|fault: Fault| StatusWord::from(fault))?;
    Ok(put.answer())
}
