//! PUT KEY of a whole key set, each key sealed under the channel's data encryption key with its check
//! value (GPCS §11.8, Amendment D §7.2).

use subtle::ConstantTimeEq as _;

use super::keys::{DataKey, Kcv, KeySet, KeyVersion, key_check_value};
use super::registry::KEY_TYPE_AES;
use super::{take_lv, write_lv};
use crate::crypto::{AesBits, AesKey, Crypto};
use crate::sw::StatusWord;

/// P2: several keys, the first with identifier 1.
const P2: u8 = 0x81;

/// PUT KEY of encryption, MAC and data encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutKey {
    /// The version that it replaces; `None` to add one.
    pub replaces: Option<KeyVersion>,
    /// The version of the new key set.
    pub version: KeyVersion,
    keys: [SealedKey; 3],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SealedKey {
    len: usize,
    sealed: Vec<u8>,
    check_value: Kcv,
}

/// The keys that came do not have the check values that came with them. The card answers 9484.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the check value of a new key is wrong")]
pub struct WrongCheckValue;

impl PutKey {
    /// Seals a key set for a card. The initial key set cannot be named: adding the first one replaces it.
    #[must_use]
    pub fn seal(crypto: &dyn Crypto, data_key: &DataKey, replaces: KeyVersion, keys: &KeySet) -> Self {
        let keys_sealed = keys.keys().map(|key| SealedKey {
            len: key.expose().len(),
            sealed: data_key.seal_key(key),
            check_value: key_check_value(crypto, key),
        });
        let replaces = (replaces != KeyVersion::INITIAL).then_some(replaces);
        Self { replaces, version: keys.version(), keys: keys_sealed }
    }

    /// Opens the key set on the card.
    ///
    /// # Errors
    /// [`WrongCheckValue`].
    pub fn open(&self, crypto: &dyn Crypto, data_key: &DataKey) -> Result<KeySet, WrongCheckValue> {
        let open = |key: &SealedKey| -> Option<AesKey> {
            let opened = data_key.open_key(&key.sealed, key.len)?;
            bool::from(key_check_value(crypto, &opened).ct_eq(&key.check_value)).then_some(opened)
        };
        let [enc, mac, dek] = self.keys.each_ref().map(open);
        let (Some(enc), Some(mac), Some(dek)) = (enc, mac, dek) else { return Err(WrongCheckValue) };
        KeySet::new(self.version, enc, mac, dek).map_err(|_| WrongCheckValue)
    }

    /// What the card answers: version and check values.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        let mut out = vec![self.version.get()];
        for key in &self.keys {
            out.extend(key.check_value);
        }
        out
    }

    /// P1, P2 and data field.
    pub(super) fn encode(&self) -> ([u8; 2], Vec<u8>) {
        let mut out = vec![self.version.get()];
        for key in &self.keys {
            let mut block = vec![u8::try_from(key.len).unwrap_or(u8::MAX)];
            block.extend(&key.sealed);
            out.push(KEY_TYPE_AES);
            write_lv(&block, &mut out);
            write_lv(&key.check_value, &mut out);
        }
        ([self.replaces.map_or(0, KeyVersion::get), P2], out)
    }

    pub(super) fn parse(p1: u8, p2: u8, data: &[u8]) -> Result<Self, StatusWord> {
        let replaces = match p1 {
            0 => None,
            _ => Some(KeyVersion::new(p1).ok_or(StatusWord::WRONG_P1P2)?),
        };
        if p2 != P2 || replaces == Some(KeyVersion::INITIAL) {
            return Err(StatusWord::WRONG_P1P2);
        }
        Self::read(replaces, data).ok_or(StatusWord::WRONG_DATA)
    }

    fn read(replaces: Option<KeyVersion>, data: &[u8]) -> Option<Self> {
        let (version, mut rest) = data.split_first()?;
        let version = KeyVersion::new(*version).filter(|version| *version != KeyVersion::INITIAL)?;
        let keys = [SealedKey::read(&mut rest)?, SealedKey::read(&mut rest)?, SealedKey::read(&mut rest)?];
        rest.is_empty().then_some(Self { replaces, version, keys })
    }
}

impl SealedKey {
    /// Key type, key block, check value. A key of whole blocks may come without its length before it
    /// (GPCS table 11-71).
    fn read(input: &mut &[u8]) -> Option<Self> {
        let (&KEY_TYPE_AES, rest) = input.split_first()? else { return None };
        *input = rest;
        let block = take_lv(input)?;
        let (len, sealed) = match block.len() % 16 {
            0 => (block.len(), block),
            _ => block.split_first().map(|(len, sealed)| (usize::from(*len), sealed))?,
        };
        AesBits::from_bytes(len).filter(|_| sealed.len() == len.next_multiple_of(16))?;
        Some(Self { len, sealed: sealed.to_vec(), check_value: take_lv(input)?.try_into().ok()? })
    }
}
