//! What a card gets from the world.

use onetap_apdu_spec::clock::SystemClock;
use onetap_apdu_spec::crypto::{Crypto, CryptoError, SigningKeyType, default_provider};
use onetap_apdu_spec::rng::{OsRng, Rng};
use zeroize::Zeroizing;

use super::time::CardTime;
use crate::runtime::Limits;

/// What a card gets from the world: with the same seed, keys and clock, one run replays another.
pub struct Environment {
    /// The provider of cryptography.
    pub crypto: &'static dyn Crypto,
    /// Where symmetric keys and joint passwords come from.
    pub rng: Box<dyn Rng>,
    /// The time that the card's battery keeps.
    pub clock: Box<dyn CardTime>,
    /// Where signing keys come from.
    pub keys: Box<dyn KeyMaker>,
    /// What its chip has room and time for.
    pub limits: Limits,
}

impl Default for Environment {
    /// The real ones: the fast provider, the operating system's randomness, the machine's clock, signing
    /// keys made anew, no limits.
    fn default() -> Self {
        Self {
            crypto: default_provider(),
            rng: Box::new(OsRng),
            clock: Box::new(SystemClock),
            keys: Box::new(NewKeys),
            limits: Limits::NONE,
        }
    }
}

/// Makes the card's signing keys.
pub trait KeyMaker: Send {
    /// A private key, PKCS#8.
    ///
    /// # Errors
    /// [`CryptoError`].
    fn make(&mut self, crypto: &dyn Crypto, key: SigningKeyType) -> Result<Zeroizing<Vec<u8>>, CryptoError>;
}

/// Each key is made when it is asked for, as on a card for real use.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewKeys;

impl KeyMaker for NewKeys {
    fn make(&mut self, crypto: &dyn Crypto, key: SigningKeyType) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        crypto.generate_key(key)
    }
}

/// One key made before, for tests and vectors, where the same run has to give the same bytes.
pub struct PreparedKey(pub Zeroizing<Vec<u8>>);

impl KeyMaker for PreparedKey {
    fn make(&mut self, _: &dyn Crypto, _: SigningKeyType) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Ok(self.0.clone())
    }
}
