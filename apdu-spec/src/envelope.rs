//! E: the joint password encrypted for the server (P-10, P-12, P-15).
//!
//! Inside: length of pw, pw, R (unless the profile is without), SHA-256(H ‖ T). Outside, by method:
//! the OAEP ciphertext, or IV ‖ CBC ciphertext ‖ CMAC. In the B profiles, where S does not cover E, a
//! CMAC over H, SHA-256(T) and all before it shows that this card made E for this transaction; it
//! stands behind the OAEP ciphertext, or in place of the other CMAC. The server checks it first.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::crypto::{Block, Crypto, CryptoError, Digest, RsaPrivate, RsaPublic};
use crate::header::Header;
use crate::keys::CardKeys;
use crate::password::Password;
use crate::rng::Rng;
use crate::suite::{EncryptionMethod, Profile};

const TAG_LEN: usize = 16;
const IV_LEN: usize = 16;

/// Why an E does not open. The server raises an alarm; the holder is not charged a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The suite has no E, or the RSA key that it needs is missing.
    #[error("this suite has no encrypted joint password, or its key is missing")]
    NoKey,
    /// The MAC does not hold.
    #[error("the encrypted joint password does not come from this card for this transaction")]
    NotAuthentic,
    /// It does not decrypt to a plaintext of the right form for this H and T.
    #[error("the encrypted joint password does not decrypt")]
    Undecryptable,
    /// The HSM that holds the server's key does not answer: nothing is known about E.
    #[error("the token that holds the server's key does not answer; check that it is connected")]
    Unavailable,
}

/// Seals and opens E for one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    crypto: &'a dyn Crypto,
    keys: &'a CardKeys,
    header: &'a Header,
    /// SHA-256(H ‖ T), which binds the plaintext.
    binding: Digest,
    /// SHA-256(T), which binds the tag of the B profiles.
    transaction: Digest,
}

impl<'a> Envelope<'a> {
    /// For header H and transaction bytes T.
    #[must_use]
    pub fn new(crypto: &'a dyn Crypto, keys: &'a CardKeys, header: &'a Header, transaction: &[u8]) -> Self {
        Self {
            crypto,
            keys,
            header,
            binding: crypto.sha256(&[&header.to_bytes(), transaction]),
            transaction: crypto.sha256(&[transaction]),
        }
    }

    /// Makes E. IV and R come from `rng`, except in A4, where both follow from C.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`] if the suite has no E or needs a `server` key and has none.
    pub fn seal(
        &self,
        password: &Password,
        server: Option<&dyn RsaPublic>,
        rng: &mut dyn Rng,
    ) -> Result<Vec<u8>, CryptoError> {
        let (iv, random) = self.iv_and_random(rng);
        let plaintext = self.plaintext(password, &random);
        let mut out = match self.header.binding.suite.encryption() {
            EncryptionMethod::None => return Err(CryptoError::BadKey),
            EncryptionMethod::RsaOaep => server.ok_or(CryptoError::BadKey)?.encrypt_oaep(&plaintext)?,
            EncryptionMethod::AesCbcCmac => {
                let ciphertext = self.crypto.cbc_encrypt(&self.keys.envelope_encryption, &iv, &plaintext);
                [&iv[..], &ciphertext].concat()
            }
        };
        let tag = self.tag(&out);
        out.extend(tag.into_iter().flatten());
        Ok(out)
    }

    /// Opens E: tag first, then decryption, then the form of the plaintext.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, envelope: &[u8], server: Option<&dyn RsaPrivate>) -> Result<Password, OpenError> {
        let body = self.check_tag(envelope)?;
        let plaintext = match self.header.binding.suite.encryption() {
            EncryptionMethod::None => return Err(OpenError::NoKey),
            EncryptionMethod::RsaOaep => server.ok_or(OpenError::NoKey)?.decrypt_oaep(body),
            EncryptionMethod::AesCbcCmac => {
                let (iv, ciphertext) = body.split_first_chunk::<IV_LEN>().ok_or(OpenError::Undecryptable)?;
                self.crypto.cbc_decrypt(&self.keys.envelope_encryption, iv, ciphertext)
            }
        };
        let plaintext = plaintext.map_err(|error| match error {
            CryptoError::Unavailable => OpenError::Unavailable,
            _ => OpenError::Undecryptable,
        })?;
        self.read_plaintext(&plaintext).ok_or(OpenError::Undecryptable)
    }

    /// Whether the tag of E, where the suite has one, is this card's for this transaction. Takes no key of the
    /// server's and opens nothing.
    #[must_use]
    pub fn has_right_tag(&self, envelope: &[u8]) -> bool {
        self.check_tag(envelope).is_ok()
    }

    fn profile(&self) -> Profile {
        self.header.binding.suite.profile()
    }

    fn iv_and_random(&self, rng: &mut dyn Rng) -> (Block, Block) {
        if self.profile() == Profile::A4 {
            return self.keys.a4_iv_and_random(self.crypto, self.header.counter);
        }
        let (mut iv, mut random) = ([0; IV_LEN], [0; 16]);
        rng.fill(&mut iv);
        rng.fill(&mut random);
        (iv, random)
    }

    fn plaintext(&self, password: &Password, random: &Block) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(80));
        let pw = password.expose().as_bytes();
        out.push(u8::try_from(pw.len()).unwrap_or(u8::MAX));
        out.extend(pw);
        if self.profile().has_random() {
            out.extend(random);
        }
        out.extend(self.binding);
        out
    }

    fn read_plaintext(&self, plaintext: &[u8]) -> Option<Password> {
        let (&len, rest) = plaintext.split_first()?;
        let (pw, rest) = rest.split_at_checked(usize::from(len))?;
        let random_len = if self.profile().has_random() { 16 } else { 0 };
        let (_, binding) = rest.split_at_checked(random_len)?;
        let bound = bool::from(binding.ct_eq(&self.binding));
        let password = std::str::from_utf8(pw).ok()?.parse().ok()?;
        bound.then_some(password)
    }

    /// The tag that follows `body`; none where S covers an OAEP ciphertext.
    fn tag(&self, body: &[u8]) -> Option<Block> {
        let header = self.header.to_bytes();
        let mac = |key, parts: &[&[u8]]| Some(self.crypto.cmac(key, parts));
        match (self.profile().is_b(), self.header.binding.suite.encryption()) {
            (true, _) => mac(&self.keys.origin_mac, &[&header, &self.transaction, body]),
            (false, EncryptionMethod::AesCbcCmac) => mac(&self.keys.envelope_mac, &[&header, body]),
            (false, _) => None,
        }
    }

    /// Splits off the tag and checks it; the rest is the body.
    fn check_tag<'e>(&self, envelope: &'e [u8]) -> Result<&'e [u8], OpenError> {
        if self.tag(&[]).is_none() {
            return Ok(envelope);
        }
        let (body, tag) = envelope.split_last_chunk::<TAG_LEN>().ok_or(OpenError::NotAuthentic)?;
        let expected = self.tag(body).ok_or(OpenError::NotAuthentic)?;
        if bool::from(expected.ct_eq(tag)) { Ok(body) } else { Err(OpenError::NotAuthentic) }
    }
}
