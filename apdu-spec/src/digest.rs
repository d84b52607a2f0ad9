//! D: the digest information of T, of pw or of E (P-14).
//!
//! Every method takes a 16-byte label that says which of the three it is, then H, then the bytes, so
//! that no digest of one is ever one of another, of another card, or of another counter value.

use crate::crypto::{Crypto, Key256};
use crate::header::HeaderBytes;
use crate::keys::CardKeys;
use crate::suite::DigestMethod;

/// What is digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The transaction message T.
    Transaction,
    /// The joint password.
    Password,
    /// The encrypted joint password E.
    Envelope,
}

impl Subject {
    const fn label(self) -> &'static [u8; 16] {
        match self {
            Self::Transaction => b"onetap/D/T\0\0\0\0\0\0",
            Self::Password => b"onetap/D/pw\0\0\0\0\0",
            Self::Envelope => b"onetap/D/E\0\0\0\0\0\0",
        }
    }

    const fn cbc_key_label(self, danger: bool) -> &'static str {
        match (self, danger) {
            (Self::Transaction, false) => "onetap/d-cbc/T",
            (Self::Password, false) => "onetap/d-cbc/pw",
            (Self::Envelope, false) => "onetap/d-cbc/E",
            (Self::Transaction, true) => "onetap/danger-cbc/T",
            (Self::Password, true) => "onetap/danger-cbc/pw",
            (Self::Envelope, true) => "onetap/danger-cbc/E",
        }
    }
}

/// Computes D for one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Digester<'a> {
    /// The provider.
    pub crypto: &'a dyn Crypto,
    /// The card's keys.
    pub keys: &'a CardKeys,
    /// The method.
    pub method: DigestMethod,
    /// H of the transaction.
    pub header: &'a HeaderBytes,
    /// C, as in H.
    pub counter: u32,
}

impl Digester<'_> {
    /// D(`bytes`); `bytes` itself where the profile has no digest. SHA-256: 32 bytes, CMAC: 16,
    /// CBC of a hash: 48, CBC of the whole: up to 71 bytes longer than `bytes`.
    #[must_use]
    pub fn digest(&self, subject: Subject, bytes: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 3] = [subject.label(), self.header, bytes];
        match self.method {
            DigestMethod::None => bytes.to_vec(),
            DigestMethod::Sha256 => self.crypto.sha256(&parts).to_vec(),
            DigestMethod::Sha256Cmac => {
                let hash = self.crypto.sha256(&parts);
                self.crypto.cmac(&self.keys.digest_mac, &[&hash]).to_vec()
            }
            DigestMethod::Sha256Cbc => {
                let hash = self.crypto.sha256(&parts);
                self.cbc(subject.cbc_key_label(false), &hash)
            }
            DigestMethod::DangerCmac => self.crypto.cmac(&self.keys.danger_mac, &parts).to_vec(),
            DigestMethod::DangerCbc => self.cbc(subject.cbc_key_label(true), &parts.concat()),
        }
    }

    /// The whole CBC ciphertext. The key serves this counter value and subject only, so the IV may
    /// be zero.
    fn cbc(&self, label: &str, plaintext: &[u8]) -> Vec<u8> {
        let key: Key256 = self.keys.cbc_digest_key(self.crypto, label, self.counter);
        self.crypto.cbc_encrypt(&key, &[0; 16], plaintext)
    }
}
