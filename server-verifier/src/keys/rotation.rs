//! New versions, and the end of old ones.

use std::io;
use std::sync::PoisonError;

use onetap_apdu_spec::header::KeyId;
use zeroize::Zeroize;

use super::error::KeyFileError;
use super::file::{Contents, IssuerRecord, KeyFile, RsaRecord, Versioned};
use super::replace::Step;
use super::ring::next;
use super::{Home, KeyKind, ServerKeys, connect, open_locked, ring};
use crate::keys::environment::Environment;

impl ServerKeys {
    /// Makes another version of a key, where the keys are; new cards get it from now on. An RSA key has
    /// the size of the one before.
    ///
    /// # Errors
    /// [`KeyFileError`]: the file is the old one or the new one.
    pub(crate) fn rotate(&self, kind: KeyKind, env: &Environment) -> Result<KeyId, KeyFileError> {
        self.change(env, &mut |_| Ok(()), |file, contents| {
            let none = KeyFileError::NoMoreVersions { kind };
            let token = connect(contents.secrets.token.as_ref(), env)?;
            let server = contents.server;
            match kind {
                KeyKind::Server => {
                    let id = next(&contents.secrets.decryption).ok_or(none)?;
                    let bits = ring(file, contents, env)?.bits(env.crypto)?;
                    let key = RsaRecord::generate(server, bits, token.as_ref(), env)?;
                    contents.secrets.decryption.push(Versioned { id, key });
                    Ok(id)
                }
                KeyKind::Issuer => {
                    let id = next(&contents.secrets.issuer).ok_or(none)?;
                    let key = IssuerRecord::generate(server, token.as_ref(), env)?;
                    contents.secrets.issuer.push(Versioned { id, key });
                    Ok(id)
                }
            }
        })
    }

    /// Removes an older version for good, from its token too. The caller has seen to it that no card is
    /// bound to it.
    ///
    /// # Errors
    /// [`KeyFileError::NoSuchKey`], [`KeyFileError::Newest`]; others leave the old file or the new one.
    pub(crate) fn retire(&self, kind: KeyKind, id: KeyId, env: &Environment) -> Result<(), KeyFileError> {
        let in_token = self.change(env, &mut |_| Ok(()), |_, contents| {
            let secrets = &mut contents.secrets;
            let label = match kind {
                KeyKind::Server => match &remove(&mut secrets.decryption, kind, id)?.key {
                    RsaRecord::Token { label, .. } => Some(label.clone()),
                    RsaRecord::Pkcs8(_) => None,
                },
                KeyKind::Issuer => match &remove(&mut secrets.issuer, kind, id)?.key {
                    IssuerRecord::Token { label, .. } => Some(label.clone()),
                    IssuerRecord::Key(_) => None,
                },
            };
            Ok(label.zip(secrets.token.clone()))
        })?;
        if let Some((label, place)) = in_token
            && let Some(token) = connect(Some(&place), env)?
        {
            token.destroy(&label)?;
        }
        Ok(())
    }

    /// Changes the keys where they are kept, then those in use. Other processes wait.
    pub(super) fn change<T>(
        &self,
        env: &Environment,
        at: &mut dyn FnMut(Step) -> io::Result<()>,
        change: impl FnOnce(&KeyFile, &mut Contents) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        match &self.home {
            Home::Memory(contents) => {
                let mut contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
                let file = KeyFile::of(std::path::Path::new(""));
                let changed = change(&file, &mut contents)?;
                self.put(ring(&file, &contents, env)?);
                Ok(changed)
            }
            Home::File { file, seen } => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let lock = file.lock()?;
                let mut contents = open_locked(file, &lock, env)?;
                if contents.server != self.server {
                    return Err(KeyFileError::OtherServer { path: file.path().to_owned() });
                }
                let changed = change(file, &mut contents)?;
                file.write(&lock, &contents, &file.protection(env)?, env, at)?;
                self.put(ring(file, &contents, env)?);
                *seen = file.stamp()?;
                Ok(changed)
            }
        }
    }
}

fn remove<T: Zeroize>(
    versions: &mut Vec<Versioned<T>>,
    kind: KeyKind,
    id: KeyId,
) -> Result<Versioned<T>, KeyFileError> {
    let at = versions.iter().position(|version| version.id == id);
    let at = at.ok_or(KeyFileError::NoSuchKey { kind, id })?;
    if at + 1 == versions.len() {
        return Err(KeyFileError::Newest { kind, id });
    }
    Ok(versions.remove(at))
}
