//! Whether an issuer's order can make a card, and why not.

use onetap_apdu_spec::crypto::{Crypto, CryptoError, RsaPublic};
use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::suite::{EncryptionMethod, SignatureAlgorithm};

use crate::runtime::Fault;

/// Why an order cannot make a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Key id 0 means that there is no such key.
    #[error("the {0} key needs an id from 1 up")]
    KeyId(&'static str),
    /// The suite encrypts under the server's RSA key.
    #[error("this profile encrypts under the server's RSA key: give the key and its id, from 1 up")]
    ServerKeyMissing,
    /// The suite does not use the server's RSA key.
    #[error("this profile does not use the server's RSA key: leave the key out and set its id to 0")]
    ServerKeyNotUsed,
    /// The server's key does not parse.
    #[error("the server's key: {0}")]
    ServerKey(CryptoError),
    /// The signing key that was brought along does not parse.
    #[error("the signing key: {0}")]
    SigningKey(CryptoError),
    /// The signing key that was brought along has another size.
    #[error("the signing key has {given} bits, the order says {ordered}")]
    KeySize {
        /// Bits of the key.
        given: u16,
        /// Bits ordered.
        ordered: u16,
    },
    /// The suite signs with another kind of key.
    #[error("this profile signs by {0}: rsa_bits is 0 for ecdsa, and 2048, 3072 or 4096 for pkcs1 and pss")]
    KeyType(SignatureAlgorithm),
    /// Thresholds the wrong way round.
    #[error("what the key alone confirms (key_up_to) must not exceed what the PIN confirms (pin_up_to)")]
    Thresholds,
    /// The card has been personalised before.
    #[error("this memory already holds a card: personalise an empty one")]
    NotEmpty,
}

/// Why a card cannot be personalised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What can be said of an order before a card is made by it.
pub(crate) fn check_order(crypto: &dyn Crypto, order: &Personalisation) -> Result<(), OrderError> {
    check(order)?;
    server_key(crypto, order).map(drop)
}

fn check(order: &Personalisation) -> Result<(), OrderError> {
    let binding = &order.binding;
    for (id, name) in [(binding.signing_key, "signing"), (binding.issuer_key, "issuer")] {
        if id == 0 {
            return Err(OrderError::KeyId(name));
        }
    }
    if !order.key_type.signs_by(binding.suite.signature()) {
        return Err(OrderError::KeyType(binding.suite.signature()));
    }
    let needed = binding.suite.encryption() == EncryptionMethod::RsaOaep;
    let given = (binding.server_key != 0, !order.server_public_key.is_empty());
    match (needed, given) {
        (true, (true, true)) | (false, (false, false)) => {}
        (true, _) => return Err(OrderError::ServerKeyMissing),
        (false, _) => return Err(OrderError::ServerKeyNotUsed),
    }
    let policy = &order.confirmation;
    if policy.key_up_to > policy.pin_up_to { Err(OrderError::Thresholds) } else { Ok(()) }
}

/// The server's key, parsed, if the suite uses it.
pub(super) fn server_key(
    crypto: &dyn Crypto,
    order: &Personalisation,
) -> Result<Option<Box<dyn RsaPublic>>, OrderError> {
    if order.server_public_key.is_empty() {
        return Ok(None);
    }
    crypto.rsa_public(&order.server_public_key).map(Some).map_err(OrderError::ServerKey)
}
