//! What the terminal sends to the server (P-17): exactly this and nothing else of the card's.

use crate::password::Password;
use crate::suite::Owed;

/// One request to execute a transaction. The terminal can build it only with a typed password
/// (P-16, `onetap_pcsc_host::pay`); the server judges it.
#[derive(Debug, Clone)]
pub struct AuthorisationRequest {
    /// T, the bytes that the card signed.
    pub transaction: Vec<u8>,
    /// The signature message: header and S.
    pub signature_message: Vec<u8>,
    /// What the holder typed.
    pub verification_password: Password,
    /// E, D(E) or D(pw), if the profile owes one.
    pub password_object: Option<PasswordObject>,
}

/// What travels besides S, by profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordObject {
    /// Which of the three.
    pub kind: Owed,
    /// Its bytes.
    pub bytes: Vec<u8>,
}
