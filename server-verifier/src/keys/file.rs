//! The key file, format 2: what it holds, how it is read and written.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use onetap_apdu_spec::crypto::{Digest, Key256, default_provider};
use onetap_apdu_spec::header::{KeyId, ServerId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::access::{KeyProtection, TokenPlace};
use super::error::KeyFileError;
use super::replace::{Step, WriteLock};
use super::seal::{OpenError, Sealed, seal};
use crate::keys::environment::Environment;

const NAME: &str = "keys.json";
const FORMAT: u32 = 2;
/// Longest file that is read.
const MAX_LEN: u64 = 1 << 20;

/// What is secret, or names secrets in a token.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    /// Open E; ascending.
    pub(super) decryption: Vec<Versioned<RsaRecord>>,
    /// Roots of the card keys; ascending.
    pub(super) issuer: Vec<Versioned<IssuerRecord>>,
    /// Signs checkpoints of the audit log.
    pub(super) checkpoint: Pkcs8,
    pub(super) requests: Key256,
    pub(super) audit: Key256,
    pub(super) webhook: Key256,
    #[zeroize(skip)]
    pub(super) token: Option<TokenPlace>,
}

/// One version of a key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Versioned<T: Zeroize> {
    pub(super) id: KeyId,
    pub(super) key: T,
}

/// A private RSA key as PKCS#8 DER (RFC 5958).
#[derive(Clone, serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Pkcs8(#[serde(with = "hex::serde")] pub(super) Vec<u8>);

impl std::fmt::Debug for Pkcs8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pkcs8(redacted)")
    }
}

/// An RSA key, or its name in the token and what its public half must be.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RsaRecord {
    Pkcs8(Pkcs8),
    Token {
        label: String,
        #[serde(with = "hex::serde")]
        public: Vec<u8>,
    },
}

/// An issuer master key, or its name in the token and what its check value must be.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IssuerRecord {
    Key(Key256),
    Token {
        label: String,
        #[serde(with = "hex::serde")]
        check: [u8; 16],
    },
}

/// All of the file.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) server: ServerId,
    pub(super) secrets: Secrets,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    server: ServerId,
    keys: Body,
    /// SHA-256 of all the above: tells a damaged file from a wrong passphrase.
    #[serde(with = "hex::serde")]
    check: Digest,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Body {
    Plain(Secrets),
    Sealed(Sealed),
}

/// The format before this one: one version of each key, never sealed.
#[derive(serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Format1 {
    #[serde(rename = "format")]
    _format: u32,
    #[zeroize(skip)]
    server: ServerId,
    decryption: Pkcs8,
    issuer: Key256,
    requests: Key256,
    audit: Key256,
}

/// What a file gave.
pub(super) enum Read {
    /// A file of this format.
    Current(Contents),
    /// One of format 1, to be written again with the keys that it lacks.
    Old(Format1),
}

/// Tells one version of a file from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, i64, i64, u64);

/// A key file, by its path.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn of(directory: &Path) -> Self {
        Self { path: directory.join(NAME) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn io(&self, source: io::Error) -> KeyFileError {
        match source.kind() {
            io::ErrorKind::NotFound => KeyFileError::Missing { path: self.path.clone() },
            _ => KeyFileError::Io { path: self.path.clone(), source },
        }
    }

    pub(super) fn damaged(&self) -> KeyFileError {
        KeyFileError::Damaged { path: self.path.clone() }
    }

    /// Keeps other writers out.
    pub(super) fn lock(&self) -> Result<WriteLock, KeyFileError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        WriteLock::take(directory).map_err(|why| self.io(why))
    }

    pub(super) fn stamp(&self) -> Result<Stamp, KeyFileError> {
        let file = std::fs::metadata(&self.path).map_err(|why| self.io(why))?;
        Ok(Stamp(file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
    }

    /// What it takes to open the file: nothing, a `passphrase` or a `key`.
    pub(super) fn sealed_by(&self) -> Result<Option<&'static str>, KeyFileError> {
        let json = self.read_private()?;
        if self.format(&json)? == 1 {
            return Ok(None);
        }
        match self.parse(&json)?.keys {
            Body::Plain(_) => Ok(None),
            Body::Sealed(sealed) => Ok(Some(sealed.by.by())),
        }
    }

    /// What it is sealed with now, so that a rewrite changes nothing in that: a file that is plain stays
    /// plain, whatever was given besides.
    pub(super) fn protection(&self, env: &Environment) -> Result<KeyProtection, KeyFileError> {
        Ok(match self.sealed_by()? {
            None => KeyProtection::Plain,
            Some(_) => env.keys().protection.clone(),
        })
    }

    /// Reads and opens it.
    pub(super) fn read(&self, env: &Environment) -> Result<Read, KeyFileError> {
        let json = self.read_private()?;
        if self.format(&json)? == 1 {
            return Ok(Read::Old(serde_json::from_slice(&json).map_err(|_| self.damaged())?));
        }
        let written = self.parse(&json)?;
        let secrets = match written.keys {
            Body::Plain(secrets) => secrets,
            Body::Sealed(sealed) => self.open(&sealed, written.server, &env.keys().protection)?,
        };
        Ok(Read::Current(Contents { server: written.server, secrets }))
    }

    /// Writes it, sealed as `protection` says. The lock is what `KeyFile::lock` gave.
    pub(super) fn write(
        &self,
        lock: &WriteLock,
        contents: &Contents,
        protection: &KeyProtection,
        env: &Environment,
        at: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> Result<(), KeyFileError> {
        let Contents { server, secrets } = contents;
        let plain = json(secrets, false).map_err(|why| self.io(why))?;
        let keys = match seal(&plain, &head(*server), protection, env)? {
            Some(sealed) => Body::Sealed(sealed),
            None => Body::Plain(secrets.clone()),
        };
        let mut written = Written { format: FORMAT, server: *server, keys, check: Digest::default() };
        written.check = self.check(&written)?;
        let bytes = json(&written, true).map_err(|why| self.io(why))?;
        lock.replace(&self.path, &bytes, at).map_err(|why| self.io(why))
    }

    /// Copies it, as it is, into another folder; false if it is there already.
    pub(super) fn copy_to(&self, other: &Self) -> Result<bool, KeyFileError> {
        let bytes = self.read_private()?;
        let lock = other.lock()?;
        if !other.exists() {
            lock.replace(&other.path, &bytes, &mut |_| Ok(())).map_err(|why| other.io(why))?;
            return Ok(true);
        }
        if *other.read_private()? == *bytes {
            Ok(false)
        } else {
            Err(KeyFileError::OtherServer { path: other.path.clone() })
        }
    }

    /// Reads a file that nobody but its owner may read.
    fn read_private(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let file = File::open(&self.path).map_err(|why| self.io(why))?;
        let metadata = file.metadata().map_err(|why| self.io(why))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: self.path.clone() });
        }
        if metadata.len() > MAX_LEN {
            return Err(self.damaged());
        }
        let capacity = usize::try_from(metadata.len()).unwrap_or(0);
        let mut json = Zeroizing::new(Vec::with_capacity(capacity + 1));
        file.take(MAX_LEN).read_to_end(&mut json).map_err(|why| self.io(why))?;
        Ok(json)
    }

    /// The number of its format.
    fn format(&self, json: &[u8]) -> Result<u32, KeyFileError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(json).map_err(|_| self.damaged())?;
        match head.format {
            1 | FORMAT => Ok(head.format),
            0 => Err(self.damaged()),
            found => Err(KeyFileError::NewerFormat { path: self.path.clone(), found, known: FORMAT }),
        }
    }

    /// Accepts exactly the bytes that [`KeyFile::write`] writes.
    fn parse(&self, bytes: &[u8]) -> Result<Written, KeyFileError> {
        let written: Written = serde_json::from_slice(bytes).map_err(|_| self.damaged())?;
        let same = json(&written, true).is_ok_and(|canonical| *canonical == bytes);
        let whole = self.check(&written)? == written.check;
        if same && whole { Ok(written) } else { Err(self.damaged()) }
    }

    fn check(&self, written: &Written) -> Result<Digest, KeyFileError> {
        let keys = json(&written.keys, false).map_err(|why| self.io(why))?;
        Ok(default_provider().sha256(&[&head(written.server), &keys]))
    }

    fn open(
        &self,
        sealed: &Sealed,
        server: ServerId,
        protection: &KeyProtection,
    ) -> Result<Secrets, KeyFileError> {
        let path = self.path.clone();
        let plain = sealed.open(&head(server), protection).map_err(|why| match (why, sealed.by.by()) {
            (OpenError::NothingGiven, by) => KeyFileError::Sealed { path, by },
            (OpenError::TooCostly, _) => KeyFileError::TooCostly { path },
            (OpenError::Refused, "passphrase") => KeyFileError::WrongPassphrase { path },
            (OpenError::Refused, _) => KeyFileError::WrongKeyFile { path },
        })?;
        serde_json::from_slice(&plain).map_err(|_| self.damaged())
    }
}

impl Format1 {
    /// The same keys as version 1, with those that the format lacked.
    pub(super) fn upgrade(&self, checkpoint: Pkcs8, webhook: Key256) -> Contents {
        let first = |key| vec![Versioned { id: 1, key }];
        let secrets = Secrets {
            decryption: vec![Versioned { id: 1, key: RsaRecord::Pkcs8(self.decryption.clone()) }],
            issuer: first(IssuerRecord::Key(self.issuer.clone())),
            checkpoint,
            requests: self.requests.clone(),
            audit: self.audit.clone(),
            webhook,
            token: None,
        };
        Contents { server: self.server, secrets }
    }
}

/// What is readable in every file and sealed with the rest.
fn head(server: ServerId) -> Vec<u8> {
    [b"onetap/keys", &FORMAT.to_be_bytes()[..], &server.0].concat()
}

/// JSON in a buffer of the right size from the start: one that grows leaves copies behind.
fn json(value: &impl serde::Serialize, pretty: bool) -> io::Result<Zeroizing<Vec<u8>>> {
    struct Length(usize);
    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    fn to(writer: impl Write, value: &impl serde::Serialize, pretty: bool) -> serde_json::Result<()> {
        if pretty {
            serde_json::to_writer_pretty(writer, value)
        } else {
            serde_json::to_writer(writer, value)
        }
    }
    let mut length = Length(0);
    to(&mut length, value, pretty)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    to(&mut *bytes, value, pretty)?;
    Ok(bytes)
}
