//! Keys of the token: an RSA key that decrypts and nothing else, an AES key that computes CMACs and nothing
//! else.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use onetap_apdu_spec::crypto::{Block, CryptoError, RsaBits, RsaPrivate, SigningKey, default_provider};
use onetap_apdu_spec::keys::MasterKey;
use onetap_apdu_spec::suite::SignatureAlgorithm;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::super::access::{Passphrase, TokenPlace};
use super::super::error::TokenError;
use super::oaep;
use super::sessions::{Failure, Live, Sessions};

/// 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// Decrypted when a key is opened, to learn how this token decrypts.
const PROBE: &[u8] = b"onetap";

/// A token that is connected and logged in.
#[derive(Debug)]
pub(in super::super) struct Token(Arc<Sessions>);

impl Token {
    pub(in super::super) fn connect(
        place: &TokenPlace,
        pin: Option<&Passphrase>,
    ) -> Result<Self, TokenError> {
        let pin = pin.ok_or(TokenError::PinMissing)?;
        Ok(Self(Arc::new(Sessions::connect(place, pin)?)))
    }

    /// Makes an RSA key and returns its public half (SubjectPublicKeyInfo DER).
    pub(in super::super) fn generate_rsa(&self, label: &str, bits: RsaBits) -> Result<Vec<u8>, TokenError> {
        let name = Attribute::Label(label.as_bytes().to_vec());
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Encrypt(true),
            Attribute::ModulusBits(u64::from(u16::from(bits)).into()),
            Attribute::PublicExponent(EXPONENT.to_vec()),
            name.clone(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Decrypt(true),
            Attribute::Sign(false),
            Attribute::Unwrap(false),
            name,
        ];
        let mechanism = Mechanism::RsaPkcsKeyPairGen;
        self.make("make RSA keys", |live| {
            let (public, _) = live.session.generate_key_pair(&mechanism, &public, &private)?;
            Ok(public_half(live, public, label)?.spki)
        })
    }

    /// Makes an AES-256 key and returns its check value.
    pub(in super::super) fn generate_master_key(&self, label: &str) -> Result<Block, TokenError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        self.make("make AES keys", |live| {
            live.session.generate_key(&Mechanism::AesKeyGen, &template)?;
            Ok(())
        })?;
        let key = TokenMasterKey { sessions: Arc::clone(&self.0), label: label.to_owned() };
        key.try_check_value()
    }

    /// The RSA key of this label, whose public half must be `public`.
    pub(in super::super) fn rsa_private(
        &self,
        label: &str,
        public: &[u8],
    ) -> Result<Box<dyn RsaPrivate>, TokenError> {
        let there = self.0.with(|live| {
            let handle = live.find(ObjectClass::PUBLIC_KEY, label)?;
            stays_inside(live, ObjectClass::PRIVATE_KEY, label)?;
            public_half(live, handle, label)
        });
        let there = there.map_err(|failure| self.0.error(failure))?;
        let other = || TokenError::OtherKey { key: label.to_owned() };
        if there.spki != public {
            return Err(other());
        }
        let probe = default_provider().rsa_public(public).and_then(|key| key.encrypt_oaep(PROBE));
        let probe = probe.map_err(|_| other())?;
        let key = TokenRsa {
            sessions: Arc::clone(&self.0),
            label: label.to_owned(),
            public: there,
            padding: Padding::Token,
        };
        key.probe(&probe)
    }

    /// The AES key of this label, whose check value must be `check`.
    pub(in super::super) fn master_key(
        &self,
        label: &str,
        check: &Block,
    ) -> Result<Box<dyn MasterKey>, TokenError> {
        let inside = self.0.with(|live| stays_inside(live, ObjectClass::SECRET_KEY, label));
        inside.map_err(|failure| self.0.error(failure))?;
        let key = TokenMasterKey { sessions: Arc::clone(&self.0), label: label.to_owned() };
        if bool::from(key.try_check_value()?.ct_eq(check)) {
            Ok(Box::new(key))
        } else {
            Err(TokenError::OtherKey { key: label.to_owned() })
        }
    }

    /// Destroys all objects of this label.
    pub(in super::super) fn destroy(&self, label: &str) -> Result<(), TokenError> {
        let template = [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
        let destroyed = self.0.with(|live| {
            for object in live.session.find_objects(&template)? {
                live.session.destroy_object(object)?;
            }
            Ok(())
        });
        destroyed.map_err(|failure| self.0.error(failure))
    }

    /// Makes a key: once, as a second try could make a second key of the same name.
    fn make<T>(
        &self,
        what: &'static str,
        make: impl FnMut(&mut Live) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        self.0.once(make).map_err(|failure| match failure {
            Failure::Module(error) => {
                TokenError::Unable { label: self.0.place.label.clone(), what, why: error.to_string() }
            }
            other => self.0.error(other),
        })
    }
}

/// The public half of an RSA key: its modulus, and all of it as SubjectPublicKeyInfo DER.
struct Public {
    modulus: Vec<u8>,
    spki: Vec<u8>,
}

fn public_half(live: &Live, public: ObjectHandle, label: &str) -> Result<Public, Failure> {
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut n, mut e) = (Vec::new(), Vec::new());
    for attribute in live.session.get_attributes(public, &wanted)? {
        match attribute {
            Attribute::Modulus(bytes) => n = bytes,
            Attribute::PublicExponent(bytes) => e = bytes,
            _ => {}
        }
    }
    let modulus: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
    let key: Option<PublicEncryptingKey> = PublicKeyComponents { n: &modulus, e: &e }.try_into().ok();
    let spki = key.and_then(|key| key.as_der().ok()).ok_or_else(|| Failure::Missing(label.to_owned()))?;
    Ok(Public { spki: spki.as_ref().to_vec(), modulus })
}

/// Refuses a key that could be taken out of the token.
fn stays_inside(live: &mut Live, class: ObjectClass, label: &str) -> Result<(), Failure> {
    let handle = live.find(class, label)?;
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable];
    let said = live.session.get_attributes(handle, &wanted)?;
    let inside = said.contains(&Attribute::Sensitive(true)) && said.contains(&Attribute::Extractable(false));
    let key = label.to_owned();
    if inside { Ok(()) } else { Err(TokenError::Extractable { key }.into()) }
}

/// What a token says that finds the padding wrong.
fn bad_padding() -> Failure {
    Error::Pkcs11(RvError::EncryptedDataInvalid, Function::Decrypt).into()
}

/// Who takes the padding off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// The token does OAEP with SHA-256.
    Token,
    /// The token does the bare RSA operation, and we the rest: SoftHSM 2.6 knows OAEP with SHA-1 only.
    Ours,
}

/// An RSA key in the token.
struct TokenRsa {
    sessions: Arc<Sessions>,
    label: String,
    public: Public,
    padding: Padding,
}

impl TokenRsa {
    /// Finds out how the token decrypts, by a ciphertext whose plaintext is known.
    fn probe(self, ciphertext: &[u8]) -> Result<Box<dyn RsaPrivate>, TokenError> {
        let mut key = self;
        for padding in [Padding::Token, Padding::Ours] {
            key.padding = padding;
            if key.decrypt(ciphertext).is_ok_and(|plaintext| *plaintext == PROBE) {
                return Ok(Box::new(key));
            }
        }
        let why = match key.decrypt(ciphertext) {
            Err(Failure::Module(error)) => error.to_string(),
            _ => "it gives another plaintext".to_owned(),
        };
        let label = key.sessions.place.label.clone();
        Err(TokenError::Unable { label, what: "decrypt OAEP with SHA-256, nor bare RSA", why })
    }

    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mgf = PkcsMgfType::MGF1_SHA256;
        let mechanism = match self.padding {
            Padding::Token => Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
                MechanismType::SHA256,
                mgf,
                PkcsOaepSource::empty(),
            )),
            Padding::Ours => Mechanism::RsaX509,
        };
        let decrypted = self.sessions.with(|live| {
            let key = live.find(ObjectClass::PRIVATE_KEY, &self.label)?;
            Ok(Zeroizing::new(live.session.decrypt(&mechanism, key, ciphertext)?))
        })?;
        match self.padding {
            Padding::Token => Ok(decrypted),
            Padding::Ours => self.unpad(&decrypted).ok_or_else(bad_padding),
        }
    }

    fn unpad(&self, decrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        // Some modules leave out leading zeros.
        let missing = self.public.modulus.len().checked_sub(decrypted.len())?;
        let mut em = Zeroizing::new(vec![0; self.public.modulus.len()]);
        em[missing..].copy_from_slice(decrypted);
        oaep::decode(default_provider(), &em)
    }
}

impl SigningKey for TokenRsa {
    /// The key decrypts only: one key, one purpose.
    fn sign(&self, _: SignatureAlgorithm, _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Provider)
    }

    fn public_spki(&self) -> Vec<u8> {
        self.public.spki.clone()
    }
}

impl RsaPrivate for TokenRsa {
    fn decrypt_oaep(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        // Modules differ in what they say to a number that is too large.
        if ciphertext.len() != self.public.modulus.len() || ciphertext >= &self.public.modulus[..] {
            return Err(CryptoError::BadCiphertext);
        }
        self.decrypt(ciphertext).map_err(|failure| match failure {
            Failure::Module(Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::DataLenRange,
                _,
            )) => CryptoError::BadCiphertext,
            // Whatever else a token says is not about E: nothing may be decided on it.
            _ => CryptoError::Unavailable,
        })
    }
}

impl fmt::Debug for TokenRsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenRsa({}, {:?})", self.label, self.padding)
    }
}

/// A master key in the token.
struct TokenMasterKey {
    sessions: Arc<Sessions>,
    label: String,
}

impl TokenMasterKey {
    fn try_cmac(&self, message: &[u8]) -> Result<Block, Failure> {
        let mac = self.sessions.with(|live| {
            let key = live.find(ObjectClass::SECRET_KEY, &self.label)?;
            Ok(live.session.sign(&Mechanism::AesCMac, key, message)?)
        })?;
        mac.try_into().map_err(|_| Failure::Missing(self.label.clone()))
    }

    /// The check value, with an error that says what to do.
    fn try_check_value(&self) -> Result<Block, TokenError> {
        let token = &self.sessions.place.label;
        self.try_cmac(&[]).map_err(|failure| match failure {
            Failure::Module(error) => {
                TokenError::Unable { label: token.clone(), what: "compute AES-CMAC", why: error.to_string() }
            }
            other => self.sessions.error(other),
        })?;
        let lost = |error: CryptoError| TokenError::Lost { label: token.clone(), why: error.to_string() };
        self.check_value().map_err(lost)
    }
}

impl MasterKey for TokenMasterKey {
    fn cmac(&self, parts: &[&[u8]]) -> Result<Block, CryptoError> {
        self.try_cmac(&Zeroizing::new(parts.concat())).map_err(|_| CryptoError::Unavailable)
    }
}

impl fmt::Debug for TokenMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenMasterKey({})", self.label)
    }
}
