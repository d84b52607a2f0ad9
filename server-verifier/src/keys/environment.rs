//! What the server takes from its surroundings: cryptography, time and randomness.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use onetap_apdu_spec::crypto::{Crypto, Key256, default_provider};
use onetap_apdu_spec::rng::{OsRng, Rng};

use crate::domain::{Clock, SystemClock, Watch};
use crate::keys::KeyAccess;

/// Cryptography, time, randomness, what opens the keys, and who watches long work, given to a verifier when it is opened.
pub struct Environment {
    /// The cryptographic provider.
    pub crypto: &'static dyn Crypto,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    pub(crate) watch: Watch,
    keys: RwLock<Arc<KeyAccess>>,
    rng: Mutex<Box<dyn Rng>>,
}

impl Environment {
    /// Puts one together.
    #[must_use]
    pub fn new(crypto: &'static dyn Crypto, clock: Arc<dyn Clock>, rng: Box<dyn Rng>) -> Self {
        Self { crypto, clock, watch: Watch::default(), keys: RwLock::default(), rng: Mutex::new(rng) }
    }

    /// The default provider with the operating system's clock and randomness.
    #[must_use]
    pub fn system() -> Self {
        Self::new(default_provider(), Arc::new(SystemClock), Box::new(OsRng))
    }

    /// The same with what opens the keys; without this they are taken for plain.
    #[must_use]
    pub fn with_keys(self, keys: KeyAccess) -> Self {
        self.give_keys(keys);
        self
    }

    /// What opens the key file, or the token.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyAccess> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the keys are opened with this.
    pub(crate) fn give_keys(&self, keys: KeyAccess) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        bytes
    }

    pub(crate) fn random_key(&self) -> Key256 {
        Key256::new(self.random())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({})", self.crypto.name())
    }
}
