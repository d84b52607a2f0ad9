//! What keys of AES do: CBC and CTR (SP 800-38A), CMAC (SP 800-38B), GCM (SP 800-38D), on AWS-LC.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use onetap_apdu_spec::crypto::{AesBits, AesKey, Block, CryptoError, default_provider};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::key::{Aes, Key};
use super::reason::Reason;
use crate::runtime::{Context, Fault, Work};

/// How blocks are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Cipher block chaining over whole blocks (`ALG_AES_BLOCK_128_CBC_NOPAD`).
    Cbc,
    /// Cipher block chaining with the padding of PKCS#7 (`ALG_AES_CBC_PKCS5`; RFC 5652 §6.3).
    CbcPadded,
    /// Counter, for any length (`ALG_AES_CTR`). The initial block must never come twice under one key.
    Ctr,
}

/// Length of a tag of [`Key::seal`] in bytes.
pub const TAG_LEN: usize = 16;

type Plain = Zeroizing<Vec<u8>>;

impl Key<Aes> {
    /// Encrypts (`Cipher`, `MODE_ENCRYPT`).
    ///
    /// # Errors
    /// [`Reason::IllegalUse`], if [`Mode::Cbc`] is given anything but whole blocks; [`Reason::UninitializedKey`],
    /// [`Fault`].
    pub fn encrypt(&self, cx: &Context<'_>, mode: Mode, iv: &Block, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.unbound(cx)?;
        cx.worked(Work::Aes(data.len()));
        encrypted(key, mode, iv, data).map_err(|_| Reason::IllegalUse.into())
    }

    /// Decrypts (`Cipher`, `MODE_DECRYPT`). Authenticate first: what [`Mode::CbcPadded`] refuses tells of the
    /// plaintext.
    ///
    /// # Errors
    /// [`Reason::IllegalUse`], if [`Mode::Cbc`] is given anything but whole blocks, or a padding is wrong;
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn decrypt(&self, cx: &Context<'_>, mode: Mode, iv: &Block, data: &[u8]) -> Result<Plain, Fault> {
        let key = self.unbound(cx)?;
        cx.worked(Work::Aes(data.len()));
        decrypted(key, mode, iv, data).map_err(|_| Reason::IllegalUse.into())
    }

    /// The CMAC of a message in parts, whole (`Signature`, `ALG_AES_CMAC_128`).
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn cmac(&self, cx: &Context<'_>, parts: &[&[u8]]) -> Result<Block, Fault> {
        let key = AesKey::try_from(&self.value(cx)?[..])?;
        cx.worked(Work::Aes(parts.iter().map(|part| part.len()).sum()));
        Ok(default_provider().aes_cmac(&key, parts))
    }

    /// True if `tag` is the CMAC of a message in parts. Compared in constant time.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn verify_cmac(&self, cx: &Context<'_>, parts: &[&[u8]], tag: &[u8]) -> Result<bool, Fault> {
        Ok(self.cmac(cx, parts)?[..].ct_eq(tag).into())
    }

    /// Encrypts `data` and authenticates it with `aad`, which stays outside: GCM (`AEADCipher`, `ALG_AES_GCM`). The
    /// ciphertext is followed by a tag of [`TAG_LEN`] bytes. The nonce must never come twice under one key.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn seal(
        &self,
        cx: &Context<'_>,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let key = self.gcm(cx)?;
        cx.worked(Work::Aes(data.len()));
        let mut sealed = Vec::with_capacity(data.len() + TAG_LEN);
        sealed.extend_from_slice(data);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed)
            .map_err(|_| CryptoError::Provider)?;
        Ok(sealed)
    }

    /// The inverse of [`Key::seal`]; `None` if the tag is wrong.
    ///
    /// # Errors
    /// [`Reason::UninitializedKey`], [`Fault`].
    pub fn open(
        &self,
        cx: &Context<'_>,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Option<Plain>, Fault> {
        let key = self.gcm(cx)?;
        cx.worked(Work::Aes(sealed.len()));
        let mut data = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.open_in_place(nonce, Aad::from(aad), &mut data).map(|plain| plain.len());
        Ok(opened.ok().map(|len| {
            data.truncate(len);
            data
        }))
    }

    fn unbound(&self, cx: &Context<'_>) -> Result<UnboundCipherKey, Fault> {
        let algorithm = match self.kind.0 {
            AesBits::B128 => &AES_128,
            AesBits::B192 => &AES_192,
            AesBits::B256 => &AES_256,
        };
        Ok(UnboundCipherKey::new(algorithm, &self.value(cx)?).map_err(|_| CryptoError::BadAesKey)?)
    }

    fn gcm(&self, cx: &Context<'_>) -> Result<LessSafeKey, Fault> {
        let algorithm = match self.kind.0 {
            AesBits::B128 => &AES_128_GCM,
            AesBits::B192 => &AES_192_GCM,
            AesBits::B256 => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, &self.value(cx)?).map_err(|_| CryptoError::BadAesKey)?;
        Ok(LessSafeKey::new(key))
    }
}

fn encrypted(key: UnboundCipherKey, mode: Mode, iv: &Block, data: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let iv = EncryptionContext::Iv128(iv.into());
    // Room for a padding, so that the plaintext is never moved and left behind.
    let mut buffer = Vec::with_capacity(data.len() + size_of::<Block>());
    buffer.extend_from_slice(data);
    match mode {
        Mode::Cbc => EncryptingKey::cbc(key)?.less_safe_encrypt(&mut buffer, iv)?,
        Mode::Ctr => EncryptingKey::ctr(key)?.less_safe_encrypt(&mut buffer, iv)?,
        Mode::CbcPadded => PaddedBlockEncryptingKey::cbc_pkcs7(key)?.less_safe_encrypt(&mut buffer, iv)?,
    };
    Ok(buffer)
}

fn decrypted(key: UnboundCipherKey, mode: Mode, iv: &Block, data: &[u8]) -> Result<Plain, Unspecified> {
    let iv = DecryptionContext::Iv128(iv.into());
    let mut buffer = Zeroizing::new(data.to_vec());
    let len = match mode {
        Mode::Cbc => DecryptingKey::cbc(key)?.decrypt(&mut buffer, iv)?.len(),
        Mode::Ctr => DecryptingKey::ctr(key)?.decrypt(&mut buffer, iv)?.len(),
        Mode::CbcPadded => PaddedBlockDecryptingKey::cbc_pkcs7(key)?.decrypt(&mut buffer, iv)?.len(),
    };
    buffer.truncate(len);
    Ok(buffer)
}
