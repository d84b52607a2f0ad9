//! `onetap verifier keys`: sealing and rotation; and what opens the keys for every other command.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use onetap_apdu_spec::crypto::Key256;
use onetap_server_verifier::keys::{self, Passphrase, TokenPlace};
use onetap_server_verifier::{
    Environment, KeyAccess, KeyProtection, KeySummary, ServiceError, StoreError, Verifier,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;

/// What is said when the keys are sealed.
const SEALED: &str = "\
the key file is sealed; without what opens it, it is lost
a server that runs goes on with the keys it has: before it orders cards or starts again, name the file in
ONETAP_PASSPHRASE_FILE or ONETAP_KEY_FILE where it is started; if that names it already, SIGHUP has it read again";
/// Longest passphrase or PIN that is read.
const MAX_SECRET: u64 = 1024;

/// Opens the server's folder; what opens its keys is named by the environment's variables, or typed.
pub(crate) fn open(db: &Path) -> Result<Verifier, Failure> {
    open_with(db, &from_variables())
}

/// Opens the server's folder.
pub(super) fn open_with(db: &Path, opener: &args::Opener) -> Result<Verifier, Failure> {
    Ok(Verifier::open(db, environment(db, opener)?)?)
}

/// What opens the keys in a folder.
pub(super) fn environment_of(db: &Path) -> Result<Environment, Failure> {
    environment(db, &from_variables())
}

/// Opens the server's folder for a command that only reads, also where nothing can be written. A database of an older
/// schema is brought up to date first.
pub(crate) fn open_to_read(db: &Path) -> Result<Verifier, Failure> {
    open_to_read_with(db, &from_variables())
}

/// As [`open_to_read`].
pub(super) fn open_to_read_with(db: &Path, opener: &args::Opener) -> Result<Verifier, Failure> {
    let old = match Verifier::open_read_only(db, environment(db, opener)?) {
        Err(error @ ServiceError::Store(StoreError::NotUpToDate { .. })) => error,
        opened => return Ok(opened?),
    };
    match Verifier::open(db, environment(db, opener)?) {
        Err(error @ ServiceError::Store(StoreError::OwnersToUpgrade { .. })) => Err(error.into()),
        Err(ServiceError::Store(_)) => Err(old.into()),
        opened => Ok(opened?),
    }
}

/// Reads what opens the keys again, and then the keys.
pub(super) fn reopen_keys(db: &Path, opener: &args::Opener, verifier: &Verifier) -> Result<(), Failure> {
    if keys::sealed_by(db)? == Some("passphrase") && opener.passphrase_file.is_none() {
        let what =
            "a passphrase that was typed is not asked for again: name its file in ONETAP_PASSPHRASE_FILE";
        return Err(Failure::Usage(what.to_owned()));
    }
    Ok(verifier.reopen_keys(access(db, opener)?)?)
}

/// For a new server.
pub(super) fn for_new(new: &args::NewKeys) -> Result<Environment, Failure> {
    let args::Opener { passphrase_file, key_file, pkcs11_pin_file } = &new.opener;
    let place = new.pkcs11_module.clone().zip(new.pkcs11_token.clone());
    if let Some((module, _)) = place.as_ref().filter(|(module, _)| module.to_str().is_none()) {
        let what =
            format!("the key file cannot name {}: give a path to the module in UTF-8", module.display());
        return Err(Failure::Usage(what));
    }
    let access = KeyAccess {
        protection: protection(passphrase_file.as_deref(), key_file.as_deref())?,
        token: place.map(|(module, label)| TokenPlace { module, label }),
        pin: pkcs11_pin_file.as_deref().map(passphrase).transpose()?,
    };
    Ok(Environment::system().with_keys(access))
}

pub(super) fn run(command: &args::Keys, out: Output) -> Result<(), Failure> {
    match command {
        args::Keys::Show { of } => {
            let summary = keys::show(&of.db, &of.environment()?)?;
            out.result(&summary, describe(&summary))
        }
        args::Keys::Seal { of, new_passphrase_file, new_key_file } => {
            let env = of.environment()?;
            let with = match protection(new_passphrase_file.as_deref(), new_key_file.as_deref())? {
                KeyProtection::Plain => KeyProtection::Passphrase(new_passphrase()?),
                given => given,
            };
            keys::reseal(&of.db, &with, &env)?;
            let sealed = json!({ "sealed_by": keys::sealed_by(&of.db)? });
            out.result(&sealed, SEALED)
        }
        args::Keys::Unseal { of } => {
            keys::reseal(&of.db, &KeyProtection::Plain, &of.environment()?)?;
            out.result(&json!({ "sealed_by": null }), "the key file is not sealed any more")
        }
        args::Keys::Rotate { of, kind, why } => {
            let version = Verifier::open(&of.db, of.environment()?)?
                .desk(act(None, why.reason()))
                .rotate_key((*kind).into())?;
            out.result(&json!({ "version": version }), format!("new cards get version {version}"))
        }
        args::Keys::Retire { of, kind, version, why } => {
            Verifier::open(&of.db, of.environment()?)?
                .desk(act(None, why.reason()))
                .retire_key((*kind).into(), *version)?;
            out.result(&json!({ "retired": version }), format!("version {version} is gone for good"))
        }
    }
}

impl args::KeysOf {
    fn environment(&self) -> Result<Environment, Failure> {
        environment(&self.db, &self.opener)
    }
}

fn from_variables() -> args::Opener {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    args::Opener {
        passphrase_file: path("ONETAP_PASSPHRASE_FILE"),
        key_file: path("ONETAP_KEY_FILE"),
        pkcs11_pin_file: path("ONETAP_PKCS11_PIN_FILE"),
    }
}

fn environment(db: &Path, opener: &args::Opener) -> Result<Environment, Failure> {
    Ok(Environment::system().with_keys(access(db, opener)?))
}

/// Reads what the key file asks for, and nothing else; what is missing is asked for at a terminal.
fn access(db: &Path, opener: &args::Opener) -> Result<KeyAccess, Failure> {
    let sealed_by = if db.join("keys.json").exists() { keys::sealed_by(db)? } else { None };
    let protection = match (sealed_by, &opener.passphrase_file, &opener.key_file) {
        (Some("passphrase"), Some(path), _) => KeyProtection::Passphrase(passphrase(path)?),
        (Some("passphrase"), None, _) if std::io::stdin().is_terminal() => {
            let typed = files::ask_secret("passphrase of the key file: ")?;
            Passphrase::new(&typed).map_or(KeyProtection::Plain, KeyProtection::Passphrase)
        }
        (Some("key"), _, Some(path)) => KeyProtection::KeyFile(key(path)?),
        _ => KeyProtection::Plain,
    };
    let pin = opener.pkcs11_pin_file.as_deref().map(passphrase).transpose()?;
    Ok(KeyAccess { protection, token: None, pin })
}

fn protection(passphrase_file: Option<&Path>, key_file: Option<&Path>) -> Result<KeyProtection, Failure> {
    match (passphrase_file, key_file) {
        (None, None) => Ok(KeyProtection::Plain),
        (Some(path), None) => Ok(KeyProtection::Passphrase(passphrase(path)?)),
        (None, Some(path)) => Ok(KeyProtection::KeyFile(key(path)?)),
        (Some(_), Some(_)) => Err(Failure::Usage(
            "give a passphrase file or a key file, not both (see the environment too)".into(),
        )),
    }
}

fn new_passphrase() -> Result<Passphrase, Failure> {
    let first = files::ask_secret("new passphrase: ")?;
    let second = files::ask_secret("again: ")?;
    if first != second {
        return Err(Failure::Usage("the two passphrases differ; nothing was changed".into()));
    }
    Passphrase::new(&first)
        .ok_or_else(|| Failure::Usage("the passphrase is empty; nothing was changed".into()))
}

fn passphrase(path: &Path) -> Result<Passphrase, Failure> {
    let bytes = read_secret(path)?;
    let text = std::str::from_utf8(&bytes).ok().and_then(Passphrase::new);
    text.ok_or_else(|| Failure::Usage(format!("{} does not hold a line of text", path.display())))
}

fn key(path: &Path) -> Result<Key256, Failure> {
    let bytes = read_secret(path)?;
    let key = <[u8; 32]>::try_from(&bytes[..]).map(Zeroizing::new).map_err(|_| {
        let how = "make one with `head -c 32 /dev/urandom`";
        Failure::Usage(format!("{} does not hold exactly 32 bytes; {how}", path.display()))
    })?;
    Ok(Key256::new(*key))
}

/// Reads a file that not everybody may read.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |source| Failure::file("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o004 != 0 {
        let what = format!("everybody may read {}; run `chmod 600` on it", path.display());
        return Err(Failure::Usage(what));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1025));
    file.take(MAX_SECRET).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn describe(summary: &KeySummary) -> String {
    let sealed =
        summary.sealed_by.map_or_else(|| "not sealed".to_owned(), |by| format!("sealed with a {by}"));
    let mut lines = vec![format!("server      {}, key file {sealed}", summary.server)];
    if let Some(token) = &summary.token {
        lines.push(format!("token       {} ({})", token.label, token.module.display()));
    }
    for (name, versions) in [("server key", &summary.server_keys), ("issuer key", &summary.issuer_keys)] {
        for version in versions {
            let newest = if version.newest { ", for new cards" } else { "" };
            lines.push(format!("{name}  version {}, {}{newest}", version.id, version.fingerprint));
        }
    }
    lines.push(format!("checkpoints {}", summary.checkpoint));
    lines.join("\n")
}
