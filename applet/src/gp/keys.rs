//! Key sets in persistent memory, each with its sequence counter. Keys that the card has not had before begin to count
//! at 0. Keys that come back go on from where they were, or they would open the channels of old once more, to whoever
//! recorded them.

use onetap_apdu_spec::crypto::{AesKey, Crypto};
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

/// Objects that keys take: those of other things have numbers from here on.
pub(super) const FIELDS: u8 = 2 * SLOTS + 1;

const GONE: Field<Gone> = Field::new(2 * SLOTS);
/// Key sets that are gone and still remembered one by one.
const MOST_GONE: usize = 32;

/// What tells whether two key sets open the same channels.
type Fingerprint = [u8; 8];

/// How far key sets that are gone had counted.
#[derive(Serialize, Deserialize)]
struct Gone {
    /// In their order.
    sets: Vec<(Fingerprint, u32)>,
    /// The highest counter of those that are no longer remembered: keys that may be one of them go on from there.
    forgotten: u32,
}

impl Gone {
    /// Remembers one more; the oldest is forgotten where there is no room.
    fn remember(&mut self, set: Fingerprint, used: u32) {
        self.sets.retain(|(known, _)| *known != set);
        self.sets.push((set, used));
        if self.sets.len() > MOST_GONE {
            let (_, used) = self.sets.remove(0);
            self.forgotten = self.forgotten.max(used);
        }
    }

    /// What a key set begins to count from.
    fn begin(&self, set: Fingerprint) -> u32 {
        let known = self.sets.iter().find(|(known, _)| *known == set);
        known.map_or(self.forgotten, |(_, used)| *used)
    }
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
pub(super) struct Slot {
    number: u8,
    pub(super) set: KeySet,
}

/// Channels are opened by the ENC and the MAC key: not by their version, nor by the DEK.
fn fingerprint(crypto: &dyn Crypto, set: &KeySet) -> Fingerprint {
    let [enc, mac, _] = set.keys();
    let [a, b, c, d, e, f, g, h, ..] = crypto.sha256(&[b"key set", enc.expose(), mac.expose()]);
    [a, b, c, d, e, f, g, h]
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
    let begin = gone(cx)?.begin(fingerprint(cx.crypto(), set));
    cx.set(&keys(slot), &StoredKeys::of(set))?;
    cx.set(&sequence(slot), &begin)
}

/// Takes a key set away, with the transaction that is open.
fn retire(cx: &mut Context<'_>, slot: &Slot) -> Result<(), Fault> {
    let mut gone = gone(cx)?;
    gone.remember(fingerprint(cx.crypto(), &slot.set), cx.get(&sequence(slot.number))?);
    cx.set(&GONE, &gone)?;
    cx.remove(&sequence(slot.number))?;
    cx.remove(&keys(slot.number))
}

/// The key sets that are gone. Cards that were made before these were remembered have had any.
fn gone(cx: &Context<'_>) -> Result<Gone, Fault> {
    let known = cx.find(&GONE)?;
    known.map_or_else(|| Ok(Gone { sets: Vec::new(), forgotten: highest_sequence(cx)? }), Ok)
}

/// The highest sequence counter of all key sets.
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
    cx.set(&GONE, &Gone { sets: Vec::new(), forgotten: 0 })?;
    store(cx, 0, &KeySet::TEST)
}

/// The key set of a version, 0 for the first that there is.
pub(super) fn find(cx: &Context<'_>, version: u8) -> Result<Slot, StatusWord> {
    let found = slots(cx)?.into_iter().find(|slot| version == 0 || slot.set.version().get() == version);
    found.ok_or(StatusWord::NO_SUCH_OBJECT)
}

/// The next value of a key set's sequence counter, which is in persistent memory before it is used.
pub(super) fn next_sequence(cx: &mut Context<'_>, slot: &Slot) -> Result<SequenceCounter, StatusWord> {
    let used = SequenceCounter::new(cx.get(&sequence(slot.number))?).ok_or(StatusWord::INTERNAL)?;
    let next = used.next().ok_or(StatusWord::CONDITIONS)?;
    cx.set_now(&sequence(slot.number), &next.get())?;
    Ok(next)
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
    let found = found.ok_or(StatusWord::NO_SUCH_OBJECT)?;
    if slots.len() == 1 {
        return Err(StatusWord::CONDITIONS);
    }
    Ok(cx.transaction(|cx| retire(cx, found))?)
}

/// PUT KEY: adds a key set, or replaces one, in one step. The initial one goes with the first that is put. Two key sets
/// never have the same keys: they would count each for itself, and draw the same challenges.
pub(super) fn put(cx: &mut Context<'_>, put: &PutKey, data_key: &DataKey) -> Result<Vec<u8>, StatusWord> {
    let slots = slots(cx)?;
    let slot_of = |version| slots.iter().find(|slot| slot.set.version() == version);
    let replaced = match put.replaces {
        Some(version) => Some(slot_of(version).ok_or(StatusWord::NO_SUCH_OBJECT)?),
        None => slot_of(KeyVersion::INITIAL),
    };
    let free = || (0..SLOTS).find(|number| slots.iter().all(|slot| slot.number != *number));
    let number = replaced.map(|slot| slot.number).or_else(free).ok_or(StatusWord::NO_SPACE)?;
    let is_other = |slot: &&Slot| slot.number != number;
    if slot_of(put.version).is_some_and(|slot| is_other(&slot)) {
        return Err(StatusWord::WRONG_DATA);
    }
    let set = put.open(cx.crypto(), data_key).map_err(|_| status::KEY_CHECK_FAILED)?;
    let mark = |set: &KeySet| fingerprint(cx.crypto(), set);
    if slots.iter().filter(is_other).any(|slot| mark(&slot.set) == mark(&set)) {
        return Err(StatusWord::WRONG_DATA);
    }
    cx.transaction(|cx| {
        replaced.map_or(Ok(()), |slot| retire(cx, slot))?;
        store(cx, number, &set)
    })
    .map_err(|fault: Fault| StatusWord::from(fault))?;
    Ok(put.answer())
}
