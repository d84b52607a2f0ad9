//! Password generation (P-05, P-06) and the joint password at rest (P-23): AES-256-CBC with a random
//! IV, then AES-256-CMAC, under keys that the card made for itself.

use onetap_apdu_spec::crypto::Block;
use onetap_apdu_spec::password::{Password, PasswordPolicy};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::keys::Confirmed;
use super::tools::{Bytes, StorageKeys, Tools, draw_block};

/// A joint password at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    iv: Block,
    ciphertext: Bytes,
    mac: Block,
}

/// The sealed password was not made by this card for this counter value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSealedHere;

/// Draws a joint password and seals it for counter value `counter`.
pub(crate) fn draw(
    policy: PasswordPolicy,
    keys: &StorageKeys,
    counter: u32,
    tools: &mut Tools<'_>,
) -> (Password, Sealed) {
    let password = policy.draw(tools.rng);
    let iv = draw_block(tools.rng);
    let plaintext = password.expose().as_bytes();
    let ciphertext = tools.crypto.cbc_encrypt(&keys.seal_encryption, &iv, plaintext);
    let mac = tools.crypto.cmac(&keys.seal_mac, &[&counter.to_be_bytes(), &iv, &ciphertext]);
    (password, Sealed { iv, ciphertext: Bytes(ciphertext), mac })
}

impl Sealed {
    /// Decrypts the password. Takes the proof that the holder confirmed, and uses it up (P-21).
    pub(crate) fn unseal(
        &self,
        _confirmed: Confirmed,
        keys: &StorageKeys,
        counter: u32,
        tools: &Tools<'_>,
    ) -> Result<Password, NotSealedHere> {
        let parts: [&[u8]; 3] = [&counter.to_be_bytes(), &self.iv, &self.ciphertext.0];
        let mac = tools.crypto.cmac(&keys.seal_mac, &parts);
        if !bool::from(mac.ct_eq(&self.mac)) {
            return Err(NotSealedHere);
        }
        let plaintext = tools.crypto.cbc_decrypt(&keys.seal_encryption, &self.iv, &self.ciphertext.0);
        let plaintext = plaintext.map_err(|_| NotSealedHere)?;
        std::str::from_utf8(&plaintext).ok().and_then(|text| text.parse().ok()).ok_or(NotSealedHere)
    }
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::crypto::default_provider;
    use onetap_apdu_spec::rng::OsRng;

    use super::super::confirm::Condition;
    use super::super::keys::{Decision, decide};
    use super::*;

    fn confirmed() -> Confirmed {
        match decide(Condition::Key, None, None) {
            Decision::Confirmed(confirmed) => confirmed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn p_23_only_what_was_sealed_here_for_this_counter_value_opens() {
        let mut tools = Tools { crypto: default_provider(), rng: &mut OsRng };
        let keys = StorageKeys::draw(tools.rng);
        let (password, sealed) = draw(PasswordPolicy::default(), &keys, 7, &mut tools);
        assert!(sealed.unseal(confirmed(), &keys, 7, &tools).unwrap().matches(&password));
        assert!(sealed.unseal(confirmed(), &keys, 8, &tools).is_err());
        let others = StorageKeys::draw(tools.rng);
        assert!(sealed.unseal(confirmed(), &others, 7, &tools).is_err());
        // Turning a bit of the IV turns it in the plaintext, which would still be a password.
        let mut turned = sealed;
        turned.iv[0] ^= 1;
        assert!(turned.unseal(confirmed(), &keys, 7, &tools).is_err());
    }
}
