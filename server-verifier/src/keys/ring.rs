//! The keys, parsed and ready for use.

use std::fmt;
use std::sync::Arc;

use onetap_apdu_spec::crypto::{Block, Crypto, CryptoError, Key256, RsaBits, RsaPrivate, SigningKeyType};
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::header::{Binding, CardId, KeyId, ServerId};
use onetap_apdu_spec::keys::MasterKey;
use onetap_apdu_spec::suite::SignatureAlgorithm;

use super::error::{KeyFileError, TokenError};
use super::file::{IssuerRecord, KeyFile, Pkcs8, RsaRecord, Secrets, Versioned};
use super::summary::{KeySummary, VersionSummary, fingerprint};
use super::token::Token;
use super::versions::Versions;
use crate::keys::environment::Environment;

/// All versions of the keys that cards are bound to. Never changes: rotation makes another one.
pub(crate) struct KeyRing {
    server: ServerId,
    decryption: Versions<ServerKey>,
    issuer: Versions<Box<dyn MasterKey>>,
    /// A public key of P-256 whose private half is gone, SubjectPublicKeyInfo DER.
    nobodys_p256: Vec<u8>,
}

/// One version of the key that opens E.
pub(crate) struct ServerKey {
    private: Arc<dyn RsaPrivate>,
    /// SubjectPublicKeyInfo DER, for cards.
    public: Vec<u8>,
}

impl KeyRing {
    /// Parses the keys; those in a token are found there, and must be the ones that the file knows.
    pub(super) fn parse(
        file: &KeyFile,
        server: ServerId,
        secrets: &Secrets,
        token: Option<&Token>,
        env: &Environment,
    ) -> Result<Self, KeyFileError> {
        let damaged = |_| file.damaged();
        let decryption = secrets.decryption.iter().map(|record| {
            let private: Box<dyn RsaPrivate> = match &record.key {
                RsaRecord::Pkcs8(Pkcs8(pkcs8)) => env.crypto.rsa_private(pkcs8).map_err(damaged)?,
                RsaRecord::Token { label, public } => needed(token)?.rsa_private(label, public)?,
            };
            Ok((record.id, ServerKey { public: private.public_spki(), private: private.into() }))
        });
        let issuer = secrets.issuer.iter().map(|record| {
            let key = match &record.key {
                IssuerRecord::Key(key) => local(env.crypto, key),
                IssuerRecord::Token { label, check } => needed(token)?.master_key(label, check)?,
            };
            Ok((record.id, key))
        });
        let decryption = decryption.collect::<Result<_, KeyFileError>>()?;
        let issuer = issuer.collect::<Result<_, KeyFileError>>()?;
        Ok(Self {
            server,
            decryption: Versions::new(decryption).ok_or_else(|| file.damaged())?,
            issuer: Versions::new(issuer).ok_or_else(|| file.damaged())?,
            nobodys_p256: env.crypto.p256_private(&env.crypto.generate_p256()?)?.public_spki(),
        })
    }

    /// Opens E of cards that are bound to this version; none once it is retired, and for version 0,
    /// which says that the suite needs no such key.
    pub(crate) fn decryption(&self, id: KeyId) -> Option<&dyn RsaPrivate> {
        self.decryption.get(id).map(|key| key.private.as_ref())
    }

    /// The same, to be kept.
    pub(crate) fn decryption_to_keep(&self, id: KeyId) -> Option<Arc<dyn RsaPrivate>> {
        self.decryption.get(id).map(|key| Arc::clone(&key.private))
    }

    /// Version and public half (SubjectPublicKeyInfo DER) for new cards.
    pub(crate) fn newest_server_key(&self) -> (KeyId, &[u8]) {
        let (id, key) = self.decryption.newest();
        (id, &key.public)
    }

    /// Whether E is opened with the private half of `public`.
    pub(super) fn opens_under(&self, public: &[u8]) -> bool {
        self.decryption.iter().any(|(_, key)| key.public == public)
    }

    /// Version of the issuer master key for new cards.
    pub(crate) fn newest_issuer_key(&self) -> KeyId {
        self.issuer.newest().0
    }

    /// True if a card with this binding can be served. Its server key is 0 if its suite does not encrypt for
    /// the server's RSA key.
    pub(crate) fn serves(&self, binding: &Binding) -> bool {
        let Binding { server_key, issuer_key, .. } = *binding;
        (server_key == 0 || self.decryption.get(server_key).is_some())
            && self.issuer.get(issuer_key).is_some()
    }

    /// The key of one card; none once the version is retired.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] if the token that holds the master key does not answer.
    pub(crate) fn card_key(&self, card: CardId, id: KeyId) -> Result<Option<Key256>, CryptoError> {
        let key = self.issuer.get(id).map(|master| master.card_key(self.server, card, id));
        key.transpose()
    }

    /// What stands in for the key of a card that there is not, at the same cost.
    ///
    /// # Errors
    /// As [`KeyRing::card_key`].
    pub(crate) fn stand_in_key(&self, card: CardId) -> Result<Key256, CryptoError> {
        let (id, master) = self.issuer.newest();
        master.card_key(self.server, card, id)
    }

    /// What stands in for the public key of a card that there is not: nobody signs under the one that decrypts, and nobody has
    /// the other's private half.
    pub(crate) fn stand_in_public(&self, algorithm: SignatureAlgorithm) -> &[u8] {
        match algorithm {
            SignatureAlgorithm::Pkcs1Sha256 | SignatureAlgorithm::PssSha256 => self.newest_server_key().1,
            SignatureAlgorithm::EcdsaP256Sha256 => &self.nobodys_p256,
        }
    }

    /// The keys by which the issuer reaches a card that it made with this version (GlobalPlatform); none
    /// once the version is retired.
    ///
    /// # Errors
    /// As [`KeyRing::card_key`].
    pub(crate) fn management(&self, card: CardId, id: KeyId) -> Result<Option<KeySet>, CryptoError> {
        let master = self.issuer.get(id).map(AsRef::as_ref);
        master.map(|master| KeySet::diversified_by(master, card, KeyVersion::FIRST)).transpose()
    }

    /// Size of the newest RSA key.
    pub(super) fn bits(&self, crypto: &dyn Crypto) -> Result<RsaBits, CryptoError> {
        match crypto.rsa_public(self.newest_server_key().1)?.key_type() {
            SigningKeyType::Rsa(bits) => Ok(bits),
            SigningKeyType::P256 => Err(CryptoError::BadKey),
        }
    }

    /// What may be shown of the versions.
    pub(super) fn describe(&self, summary: &mut KeySummary, crypto: &dyn Crypto) -> Result<(), CryptoError> {
        let version = |id, fingerprint| VersionSummary { id, newest: false, fingerprint };
        let rsa = self.decryption.iter().map(|(id, key)| version(id, fingerprint(crypto, &key.public)));
        summary.server_keys = rsa.collect();
        for (id, master) in self.issuer.iter() {
            summary.issuer_keys.push(version(id, hex::encode(master.check_value()?)));
        }
        for versions in [&mut summary.server_keys, &mut summary.issuer_keys] {
            if let Some(last) = versions.last_mut() {
                last.newest = true;
            }
        }
        Ok(())
    }
}

fn needed(token: Option<&Token>) -> Result<&Token, TokenError> {
    token.ok_or(TokenError::PinMissing)
}

/// A master key in memory.
struct Local {
    crypto: &'static dyn Crypto,
    key: Key256,
}

pub(super) fn local(crypto: &'static dyn Crypto, key: &Key256) -> Box<dyn MasterKey> {
    Box::new(Local { crypto, key: key.clone() })
}

impl MasterKey for Local {
    fn cmac(&self, parts: &[&[u8]]) -> Result<Block, CryptoError> {
        Ok(self.crypto.cmac(&self.key, parts))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = |ids: &mut dyn Iterator<Item = KeyId>| ids.collect::<Vec<_>>();
        let decryption = ids(&mut self.decryption.iter().map(|(id, _)| id));
        let issuer = ids(&mut self.issuer.iter().map(|(id, _)| id));
        write!(f, "KeyRing({}, server keys {decryption:?}, issuer keys {issuer:?})", self.server)
    }
}

/// The id after the newest.
pub(super) fn next<T: zeroize::Zeroize>(versions: &[Versioned<T>]) -> Option<KeyId> {
    versions.last().and_then(|newest| newest.id.checked_add(1))
}
