//! Encryption: E, by the method that personalisation fixed (P-09 … P-15).

use onetap_apdu_spec::crypto::{CryptoError, RsaPublic};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;

use super::tools::Tools;

/// E of this transaction; `None` if the profile has none.
pub(crate) fn encrypt(
    header: &Header,
    keys: &CardKeys,
    server: Option<&dyn RsaPublic>,
    transaction: &[u8],
    password: &Password,
    tools: &mut Tools<'_>,
) -> Result<Option<Vec<u8>>, CryptoError> {
    if !header.binding.suite.profile().encrypts() {
        return Ok(None);
    }
    Envelope::new(tools.crypto, keys, header, transaction).seal(password, server, tools.rng).map(Some)
}
