//! The server's secrets: one file beside the database, readable by its owner only. Parsed once, wiped
//! when dropped. (An HSM takes the file's place in production: see the threat model.)

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use onetap_apdu_spec::crypto::{CryptoError, Key256, RsaBits, RsaPrivate};
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::header::{CardId, KeyId, ServerId};
use onetap_apdu_spec::keys::IssuerMasterKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::environment::Environment;
use crate::error::{KeyFileError, ServiceError};

const FILE: &str = "keys.json";
const FORMAT: u32 = 1;
/// Version of the first keys; rotation counts up.
pub(crate) const FIRST: KeyId = 1;

/// The keys, ready for use.
pub(crate) struct ServerKeys {
    pub(crate) server: ServerId,
    /// Opens E (RSA-OAEP).
    pub(crate) decryption: Box<dyn RsaPrivate>,
    /// Its public half, for cards.
    pub(crate) public_key: Vec<u8>,
    issuer: IssuerMasterKey,
    /// Tells request bodies apart.
    pub(crate) requests: Key256,
    /// Seals the audit chains.
    pub(crate) audit: Key256,
}

/// What the file holds.
#[derive(serde::Serialize, serde::Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    format: u32,
    #[zeroize(skip)]
    server: ServerId,
    /// PKCS#8 DER.
    #[serde(with = "hex::serde")]
    decryption: Vec<u8>,
    issuer: Key256,
    requests: Key256,
    audit: Key256,
}

impl ServerKeys {
    /// Makes new keys and writes them, all or nothing, to `directory`. Keys that are there are kept,
    /// whoever made them: cards may rest on them.
    pub(crate) fn create(directory: &Path, bits: RsaBits, env: &Environment) -> Result<Self, ServiceError> {
        if !directory.join(FILE).exists() {
            KeyFile::generate(bits, env)?.write(directory, &hex::encode(env.random::<8>()))?;
        }
        Ok(Self::load(directory, env)?)
    }

    /// Makes new keys that live in memory only.
    pub(crate) fn in_memory(bits: RsaBits, env: &Environment) -> Result<Self, ServiceError> {
        Ok(KeyFile::generate(bits, env)?.parse(env)?)
    }

    /// Reads the keys from `directory`.
    pub(crate) fn load(directory: &Path, env: &Environment) -> Result<Self, KeyFileError> {
        let file = KeyFile::read(directory)?;
        file.parse(env).map_err(|_| KeyFileError::Damaged { path: directory.join(FILE) })
    }

    /// The keys by which the issuer reaches a card it has made (GlobalPlatform).
    pub(crate) fn management(&self, env: &Environment, card: CardId) -> KeySet {
        KeySet::diversified(env.crypto, &self.issuer, card, KeyVersion::FIRST)
    }

    /// The key of one card.
    pub(crate) fn card_key(&self, env: &Environment, card: CardId, id: KeyId) -> Key256 {
        self.issuer.card_key(env.crypto, self.server, card, id)
    }
}

impl KeyFile {
    fn generate(bits: RsaBits, env: &Environment) -> Result<Self, CryptoError> {
        Ok(Self {
            format: FORMAT,
            server: ServerId(env.random()),
            decryption: env.crypto.generate_rsa(bits)?.to_vec(),
            issuer: env.random_key(),
            requests: env.random_key(),
            audit: env.random_key(),
        })
    }

    fn parse(&self, env: &Environment) -> Result<ServerKeys, CryptoError> {
        let decryption = env.crypto.rsa_private(&self.decryption)?;
        Ok(ServerKeys {
            server: self.server,
            public_key: decryption.public_spki(),
            decryption,
            issuer: IssuerMasterKey(self.issuer.clone()),
            requests: self.requests.clone(),
            audit: self.audit.clone(),
        })
    }

    /// Writes a second file, of a name of its own, then gives it the name, unless that is taken
    /// meanwhile: a crash or another process leaves one whole file.
    fn write(&self, directory: &Path, suffix: &str) -> Result<(), KeyFileError> {
        let path = directory.join(FILE);
        let json = serde_json::to_vec_pretty(self).map(Zeroizing::new);
        let json = json.map_err(|_| KeyFileError::Damaged { path: path.clone() })?;
        let io = |source| KeyFileError::Io { path: path.clone(), source };
        let new = directory.join(format!("{FILE}.{suffix}"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&new).map_err(io)?;
        let written = file.write_all(&json).and_then(|()| file.sync_all());
        let named = written.and_then(|()| match fs::hard_link(&new, &path) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => Ok(()),
            named => named,
        });
        fs::remove_file(&new).and(named).map_err(io)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
    }

    fn read(directory: &Path) -> Result<Self, KeyFileError> {
        let path = directory.join(FILE);
        let json = read_private(&path)?;
        let file = serde_json::from_slice(&json).ok().filter(|file: &Self| file.format == FORMAT);
        file.ok_or(KeyFileError::Damaged { path })
    }
}

/// Reads a file that nobody but its owner may read.
fn read_private(path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.clone(), source };
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.clone() });
    }
    let capacity = usize::try_from(metadata.len()).unwrap_or(0);
    let mut json = Zeroizing::new(Vec::with_capacity(capacity + 1));
    file.read_to_end(&mut json).map_err(io)?;
    Ok(json)
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeys({}, redacted)", self.server)
    }
}
