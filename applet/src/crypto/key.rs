//! Keys as objects of an applet: in the image, or in transient memory.

use onetap_apdu_spec::crypto::{AesBits, CryptoError};
use onetap_apdu_spec::rng::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::curve::Curve;
use super::reason::Reason;
use crate::runtime::{Context, Fault, Field, Transient, Work};

/// A key's value: wiped when dropped.
pub(super) type Secret = Zeroizing<Vec<u8>>;

/// What a key is (`javacard.security.Key.getType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyType {
    /// A secret key of AES.
    Aes,
    /// A secret key of HMAC.
    Hmac,
    /// A private key on an elliptic curve, with its public key.
    EcPair,
    /// A public key on an elliptic curve.
    EcPublic,
}

/// A type of key with its size: [`Aes`], [`Hmac`], [`EcPair`] or [`EcPublic`].
pub trait Kind: Copy + sealed::Sealed {
    /// The type.
    const TYPE: KeyType;

    /// Its size in bits (`getSize`).
    fn bits(self) -> u16;

    /// What is stored for a value that is given from outside; `None` if it is no such key.
    #[doc(hidden)]
    fn import(self, value: &[u8]) -> Option<Secret>;

    /// The part of what is stored that [`Key::expose`] gives.
    #[doc(hidden)]
    fn export(self, stored: &[u8]) -> &[u8] {
        stored
    }
}

/// A type of key that a card makes for itself.
pub trait Generated: Kind {
    /// Length in bytes of what is drawn.
    #[doc(hidden)]
    fn drawn(self) -> usize {
        usize::from(self.bits() / 8)
    }
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Aes {}
impl sealed::Sealed for Hmac {}
impl sealed::Sealed for EcPair {}
impl sealed::Sealed for EcPublic {}

/// Keys of AES (`AESKey`).
#[derive(Debug, Clone, Copy)]
pub struct Aes(pub AesBits);

/// Keys of HMAC (`HMACKey`), of so many bytes, 1 … 8191.
#[derive(Debug, Clone, Copy)]
pub struct Hmac(pub u16);

/// Private keys with their public keys (`KeyPair` of `ECPrivateKey` and `ECPublicKey`).
#[derive(Debug, Clone, Copy)]
pub struct EcPair(pub Curve);

/// Public keys of others (`ECPublicKey`).
#[derive(Debug, Clone, Copy)]
pub struct EcPublic(pub Curve);

fn of_length(value: &[u8], len: usize) -> Option<Secret> {
    (value.len() == len).then(|| Zeroizing::new(value.to_vec()))
}

impl Kind for Aes {
    const TYPE: KeyType = KeyType::Aes;

    fn bits(self) -> u16 {
        match self.0 {
            AesBits::B128 => 128,
            AesBits::B192 => 192,
            AesBits::B256 => 256,
        }
    }

    fn import(self, value: &[u8]) -> Option<Secret> {
        of_length(value, self.0.bytes())
    }
}

impl Generated for Aes {}

impl Kind for Hmac {
    const TYPE: KeyType = KeyType::Hmac;

    fn bits(self) -> u16 {
        self.0.saturating_mul(8)
    }

    fn import(self, value: &[u8]) -> Option<Secret> {
        of_length(value, usize::from(self.0)).filter(|_| self.0 > 0)
    }
}

impl Generated for Hmac {}

impl Kind for EcPair {
    const TYPE: KeyType = KeyType::EcPair;

    fn bits(self) -> u16 {
        self.0.bits()
    }

    fn import(self, value: &[u8]) -> Option<Secret> {
        self.0.pair_of(value)
    }

    fn export(self, stored: &[u8]) -> &[u8] {
        stored.get(..self.0.bytes()).unwrap_or_default()
    }
}

impl Generated for EcPair {}

impl Kind for EcPublic {
    const TYPE: KeyType = KeyType::EcPublic;

    fn bits(self) -> u16 {
        self.0.bits()
    }

    fn import(self, value: &[u8]) -> Option<Secret> {
        self.0.has_point(value).then(|| Zeroizing::new(value.to_vec()))
    }
}

/// A key of an applet, by the number of the object that it takes: a constant, like [`Field`]. Every instance has a
/// value of its own, or none yet. A value is written whole, so that a tear leaves the old key or the new one.
#[derive(Debug)]
pub struct Key<K> {
    place: Place,
    pub(super) kind: K,
}

#[derive(Debug)]
enum Place {
    Persistent(Field<Stored>),
    Transient(Transient<Option<Stored>>),
}

impl<K: Kind> Key<K> {
    /// A key in object `number` of the persistent memory.
    #[must_use]
    pub const fn persistent(number: u8, kind: K) -> Self {
        Self { place: Place::Persistent(Field::new(number)), kind }
    }

    /// A key in transient memory that reset clears, number `number` there (`TYPE_…_TRANSIENT_RESET`).
    #[must_use]
    pub const fn on_reset(number: u8, kind: K) -> Self {
        Self { place: Place::Transient(Transient::on_reset(number)), kind }
    }

    /// A key in transient memory that deselection clears, number `number` there (`TYPE_…_TRANSIENT_DESELECT`).
    #[must_use]
    pub const fn on_deselect(number: u8, kind: K) -> Self {
        Self { place: Place::Transient(Transient::on_deselect(number)), kind }
    }

    /// Its type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        K::TYPE
    }

    /// Its size in bits.
    #[must_use]
    pub fn bits(&self) -> u16 {
        self.kind.bits()
    }

    /// True if it has a value.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`], if the object is none, or a key of another type or size.
    pub fn is_initialized(&self, cx: &Context<'_>) -> Result<bool, Fault> {
        self.find(cx).map(|stored| stored.is_some())
    }

    /// Takes its value away, with the open transaction if the key is persistent. What it was is nowhere in the image
    /// once that counts, nor in memory.
    ///
    /// # Errors
    /// [`Fault`]; then the key is as before.
    pub fn clear(&self, cx: &mut Context<'_>) -> Result<(), Fault> {
        match &self.place {
            Place::Persistent(field) => cx.remove(field),
            Place::Transient(transient) => cx.set_transient(transient, &None),
        }
    }

    /// Gives it a value from outside: the bytes of a secret key; the private number of an [`EcPair`], whose public key
    /// is computed; the uncompressed point of an [`EcPublic`] (04, X, Y; SEC 1 §2.3.3). With the open transaction, if
    /// the key is persistent.
    ///
    /// # Errors
    /// [`Reason::IllegalValue`], if it is no key of this type and size; [`Fault`]. Then the key is as before.
    pub fn set(&self, cx: &mut Context<'_>, value: &[u8]) -> Result<(), Fault> {
        let value = self.kind.import(value).ok_or(Reason::IllegalValue)?;
        self.store(cx, value)
    }

    /// Its value, as [`Key::set`] takes it.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`]; [`Fault::NoSuchObject`] as for [`Key::is_initialized`].
    pub fn expose(&self, cx: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let value = self.value(cx)?;
        Ok(Zeroizing::new(self.kind.export(&value).to_vec()))
    }

    fn store(&self, cx: &mut Context<'_>, value: Secret) -> Result<(), Fault> {
        if K::TYPE == KeyType::EcPair {
            cx.worked(Work::Curve);
        }
        let stored = Stored { kind: K::TYPE, bits: self.bits(), value: Value(value) };
        match &self.place {
            Place::Persistent(field) => cx.set(field, &stored),
            Place::Transient(transient) => cx.set_transient(transient, &Some(stored)),
        }
    }

    fn find(&self, cx: &Context<'_>) -> Result<Option<Stored>, Fault> {
        let (number, found) = match &self.place {
            Place::Persistent(field) => (field.number(), cx.find(field)?),
            Place::Transient(transient) => (transient.number(), cx.transient(transient)?),
        };
        let fits = |stored: &Stored| (stored.kind, stored.bits) == (K::TYPE, self.bits());
        match found {
            Some(stored) if !fits(&stored) => Err(Fault::NoSuchObject(number)),
            found => Ok(found),
        }
    }

    /// What is stored.
    pub(super) fn value(&self, cx: &Context<'_>) -> Result<Secret, Fault> {
        Ok(self.find(cx)?.ok_or(Reason::UninitializedKey)?.value.0)
    }
}

/// How often a private number may be drawn out of range, which happens once in 2³² draws, before the generator counts
/// as broken.
const DRAWS: usize = 16;

impl<K: Generated> Key<K> {
    /// Makes a new value with the card's random numbers (`KeyPair.genKeyPair`; for a secret key `RandomData` and
    /// `setKey`). With the open transaction, if the key is persistent.
    ///
    /// # Errors
    /// [`Fault`]; then the key is as before.
    pub fn generate(&self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let value = draw(self.kind, cx.rng()).ok_or(CryptoError::Provider)?;
        self.store(cx, value)
    }
}

fn draw<K: Generated>(kind: K, rng: &mut dyn Rng) -> Option<Secret> {
    let mut drawn = Zeroizing::new(vec![0; kind.drawn()]);
    (0..DRAWS).find_map(|_| {
        rng.fill(&mut drawn);
        kind.import(&drawn)
    })
}

/// A key as it is stored: its type and size are checked when it is read.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: KeyType,
    bits: u16,
    value: Value,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bits (redacted)", self.kind, self.bits)
    }
}

/// A value in one piece, so that reading and writing it leaves no parts behind.
struct Value(Secret);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(Zeroizing::new(bytes.to_vec())))
    }
}
