//! The server's keys: a ring of versions, in a sealed file beside the database, or in a PKCS#11 token
//! (docs/keys.md).
//!
//! | key | for |
//! |---|---|
//! | decryption, RSA, in versions | opens E |
//! | issuer master key, AES-256, in versions | root of the card keys and the issuer's channel |
//! | checkpoint, RSA-2048 | signs checkpoints of the audit log |
//! | requests, AES-256 | tells request bodies apart |
//! | audit, AES-256 | seals the audit chains |
//! | webhook, AES-256 | authenticates what the outbox sends |
//!
//! The newest version is for new cards; the others stay for the cards bound to them until they are retired.

mod access;
pub mod environment;
mod error;
mod file;
mod replace;
mod ring;
mod rotation;
mod seal;
mod summary;
#[cfg(test)]
mod tests;
mod token;
mod versions;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use onetap_apdu_spec::crypto::{CryptoError, Key256, RsaBits, RsaPrivate};
use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::suite::SignatureAlgorithm;

pub use access::{KeyAccess, KeyProtection, Passphrase, TokenPlace};
pub use error::{KeyFileError, TokenError};
pub use summary::{KeySummary, VersionSummary};

use crate::domain::KeyKind;
use crate::keys::environment::Environment;
use file::{Contents, IssuerRecord, KeyFile, Pkcs8, Read, RsaRecord, Secrets, Stamp, Versioned};
use replace::WriteLock;
pub(crate) use ring::KeyRing;
use token::Token;

/// The keys of a running server. All but the ring stay the same for its life.
pub(crate) struct ServerKeys {
    pub(crate) server: ServerId,
    /// Tells request bodies apart.
    pub(crate) requests: Key256,
    /// Seals the audit chains.
    pub(crate) audit: Key256,
    /// Authenticates what is sent to a webhook.
    pub(crate) webhook: Key256,
    checkpoint: Box<dyn RsaPrivate>,
    ring: RwLock<Arc<KeyRing>>,
    home: Home,
}

/// Where the keys are kept.
enum Home {
    /// Nowhere else: they go with the process.
    Memory(Box<Mutex<Contents>>),
    File {
        file: KeyFile,
        seen: Mutex<Stamp>,
    },
}

impl ServerKeys {
    /// Makes new keys and writes them, all or nothing, to `directory`. Keys that are there are kept,
    /// whoever made them: cards may rest on them.
    pub(crate) fn create(directory: &Path, bits: RsaBits, env: &Environment) -> Result<Self, KeyFileError> {
        check_folder(directory)?;
        let file = KeyFile::of(directory);
        let lock = file.lock()?;
        if !file.exists() {
            let contents = Contents::generate(bits, env)?;
            file.write(&lock, &contents, &env.keys().protection, env, &mut |_| Ok(()))?;
        }
        drop(lock);
        Self::load(directory, env)
    }

    /// Makes new keys that live in memory only.
    pub(crate) fn in_memory(bits: RsaBits, env: &Environment) -> Result<Self, KeyFileError> {
        let contents = Contents::generate(bits, env)?;
        let home = Home::Memory(Box::new(Mutex::new(contents.clone())));
        Self::assemble(&KeyFile::of(Path::new("")), &contents, home, env)
    }

    /// Opens the keys in `directory`.
    pub(crate) fn load(directory: &Path, env: &Environment) -> Result<Self, KeyFileError> {
        check_folder(directory)?;
        let file = KeyFile::of(directory);
        let seen = Mutex::new(file.stamp()?);
        let contents = open(&file, env)?;
        Self::assemble(&file.clone(), &contents, Home::File { file, seen }, env)
    }

    fn assemble(
        file: &KeyFile,
        contents: &Contents,
        home: Home,
        env: &Environment,
    ) -> Result<Self, KeyFileError> {
        let Contents { server, secrets } = contents;
        let ring = ring(file, contents, env)?;
        Ok(Self {
            server: *server,
            requests: secrets.requests.clone(),
            audit: secrets.audit.clone(),
            webhook: secrets.webhook.clone(),
            checkpoint: env.crypto.rsa_private(&secrets.checkpoint.0).map_err(|_| file.damaged())?,
            ring: RwLock::new(Arc::new(ring)),
            home,
        })
    }

    /// The versions as of now. Take it once for each piece of work.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again with `access`, which opens it from now on.
    ///
    /// # Errors
    /// [`KeyFileError`]: keys and access stay as they were.
    pub(crate) fn reopen(&self, access: KeyAccess, env: &Environment) -> Result<(), KeyFileError> {
        let before = (*env.keys()).clone();
        env.give_keys(access);
        let reread = self.reread(env);
        if reread.is_err() {
            env.give_keys(before);
        }
        reread
    }

    /// Reads the file again if another process has rotated or retired a key since.
    ///
    /// # Errors
    /// [`KeyFileError`]: the keys stay as they were.
    pub(crate) fn refresh(&self, env: &Environment) -> Result<(), KeyFileError> {
        let Home::File { file, seen } = &self.home else { return Ok(()) };
        let changed = *seen.lock().unwrap_or_else(PoisonError::into_inner) != file.stamp()?;
        if changed { self.reread(env) } else { Ok(()) }
    }

    fn reread(&self, env: &Environment) -> Result<(), KeyFileError> {
        let Home::File { file, seen } = &self.home else { return Ok(()) };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = file.stamp()?;
        let contents = open(file, env)?;
        if contents.server != self.server {
            return Err(KeyFileError::OtherServer { path: file.path().to_owned() });
        }
        self.put(ring(file, &contents, env)?);
        *seen = now;
        Ok(())
    }

    /// Copies the key file, sealed as it is, into `folder`, unless it is there already; then returns none, else its path.
    ///
    /// # Errors
    /// [`KeyFileError::OtherServer`] if another one is there; [`KeyFileError`].
    pub(crate) fn copy_to(&self, folder: &Path) -> Result<Option<PathBuf>, KeyFileError> {
        let other = KeyFile::of(folder);
        let Home::File { file, .. } = &self.home else {
            return Err(other.io(io::ErrorKind::NotFound.into()));
        };
        Ok(file.copy_to(&other)?.then(|| other.path().to_owned()))
    }

    fn put(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// Whether `public` (SubjectPublicKeyInfo DER) is the public half of one of the server's keys.
    pub(crate) fn own(&self, public: &[u8]) -> bool {
        self.checkpoint_public_spki() == public || self.ring().opens_under(public)
    }

    /// Signs a checkpoint of the audit log (RSASSA-PSS, SHA-256).
    pub(crate) fn sign_checkpoint(&self, checkpoint: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.checkpoint.sign(SignatureAlgorithm::PssSha256, checkpoint)
    }

    /// What verifies checkpoints, as SubjectPublicKeyInfo DER.
    pub(crate) fn checkpoint_public_spki(&self) -> Vec<u8> {
        self.checkpoint.public_spki()
    }
}

impl Contents {
    fn generate(bits: RsaBits, env: &Environment) -> Result<Self, KeyFileError> {
        let server = ServerId(env.random());
        let token = connect(env.keys().token.as_ref(), env)?;
        let decryption = RsaRecord::generate(server, bits, token.as_ref(), env)?;
        let issuer = IssuerRecord::generate(server, token.as_ref(), env)?;
        let secrets = Secrets {
            decryption: vec![Versioned { id: 1, key: decryption }],
            issuer: vec![Versioned { id: 1, key: issuer }],
            checkpoint: Pkcs8(env.crypto.generate_rsa(RsaBits::B2048)?.to_vec()),
            requests: env.random_key(),
            audit: env.random_key(),
            webhook: env.random_key(),
            token: env.keys().token.clone(),
        };
        Ok(Self { server, secrets })
    }
}

impl RsaRecord {
    /// Makes a key, in the token if there is one.
    fn generate(
        server: ServerId,
        bits: RsaBits,
        token: Option<&Token>,
        env: &Environment,
    ) -> Result<Self, KeyFileError> {
        let Some(token) = token else {
            return Ok(Self::Pkcs8(Pkcs8(env.crypto.generate_rsa(bits)?.to_vec())));
        };
        let label = new_label(server, KeyKind::Server, env);
        let public = token.generate_rsa(&label, bits)?;
        Ok(Self::Token { label, public })
    }
}

impl IssuerRecord {
    /// Makes a key, in the token if there is one.
    fn generate(server: ServerId, token: Option<&Token>, env: &Environment) -> Result<Self, KeyFileError> {
        let Some(token) = token else {
            return Ok(Self::Key(env.random_key()));
        };
        let label = new_label(server, KeyKind::Issuer, env);
        let check = token.generate_master_key(&label)?;
        Ok(Self::Token { label, check })
    }
}

/// A label that no other key has, not even one whose rotation was cut off.
fn new_label(server: ServerId, kind: KeyKind, env: &Environment) -> String {
    format!("onetap {server} {kind} {}", hex::encode(env.random::<6>()))
}

fn connect(place: Option<&TokenPlace>, env: &Environment) -> Result<Option<Token>, TokenError> {
    place.map(|place| Token::connect(place, env.keys().pin.as_ref())).transpose()
}

fn ring(file: &KeyFile, contents: &Contents, env: &Environment) -> Result<KeyRing, KeyFileError> {
    let token = connect(contents.secrets.token.as_ref(), env)?;
    KeyRing::parse(file, contents.server, &contents.secrets, token.as_ref(), env)
}

/// Opens a key file; one of format 1 is replaced by one of this format.
fn open(file: &KeyFile, env: &Environment) -> Result<Contents, KeyFileError> {
    match file.read(env)? {
        Read::Current(contents) => Ok(contents),
        Read::Old(_) => open_locked(file, &file.lock()?, env),
    }
}

/// The same for one who holds the lock already.
fn open_locked(file: &KeyFile, lock: &WriteLock, env: &Environment) -> Result<Contents, KeyFileError> {
    let old = match file.read(env)? {
        Read::Current(contents) => return Ok(contents),
        Read::Old(old) => old,
    };
    let checkpoint = Pkcs8(env.crypto.generate_rsa(RsaBits::B2048)?.to_vec());
    let contents = old.upgrade(checkpoint, env.random_key());
    file.write(lock, &contents, &KeyProtection::Plain, env, &mut |_| Ok(()))?;
    Ok(contents)
}

/// Refuses a folder in which everybody may put and replace files: the keys, or what the database's engine keeps beside it.
fn check_folder(directory: &Path) -> Result<(), KeyFileError> {
    let folder = fs::metadata(directory).map_err(|why| KeyFile::of(directory).io(why))?;
    let open = folder.permissions().mode() & 0o002 != 0;
    if open { Err(KeyFileError::OpenFolder { path: directory.to_owned() }) } else { Ok(()) }
}

/// What it takes to open the keys in `directory`: nothing, a `passphrase` or a `key`.
///
/// # Errors
/// [`KeyFileError`] if there are none, or they are damaged.
pub fn sealed_by(directory: &Path) -> Result<Option<&'static str>, KeyFileError> {
    KeyFile::of(directory).sealed_by()
}

/// What may be shown of the keys in `directory`.
///
/// # Errors
/// [`KeyFileError`] if they do not open.
pub fn show(directory: &Path, env: &Environment) -> Result<KeySummary, KeyFileError> {
    let file = KeyFile::of(directory);
    let contents = open(&file, env)?;
    let checkpoint = env.crypto.rsa_private(&contents.secrets.checkpoint.0)?.public_spki();
    let mut summary = KeySummary {
        server: contents.server,
        sealed_by: file.sealed_by()?,
        token: contents.secrets.token.clone(),
        server_keys: Vec::new(),
        issuer_keys: Vec::new(),
        checkpoint: summary::fingerprint(env.crypto, &checkpoint),
    };
    ring(&file, &contents, env)?.describe(&mut summary, env.crypto)?;
    Ok(summary)
}

/// Seals the keys in `directory` anew, with `protection`; `env` opens them as they are.
///
/// # Errors
/// [`KeyFileError::LeftOver`]; [`KeyFileError`]: the file is the old one or the new one.
pub fn reseal(directory: &Path, protection: &KeyProtection, env: &Environment) -> Result<(), KeyFileError> {
    let file = KeyFile::of(directory);
    let lock = file.lock()?;
    if let Some(path) = lock.left_over().map_err(|why| file.io(why))? {
        return Err(KeyFileError::LeftOver { path });
    }
    let contents = open_locked(&file, &lock, env)?;
    file.write(&lock, &contents, protection, env, &mut |_| Ok(()))
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeys({:?}, redacted)", self.ring())
    }
}
