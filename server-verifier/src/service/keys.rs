//! What the operator does with keys, through the verifier.

use onetap_apdu_spec::crypto::Key256;
use onetap_apdu_spec::header::{Binding, KeyId};
use zeroize::Zeroizing;

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::sql::{Row, Sql};
use crate::domain::{Event, KeyKind, StoreError, Timestamp};
use crate::keys::{KeyAccess, KeyFileError};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
impl Desk<'_> {
    /// Makes another version of a key; cards that are ordered from now on are bound to it.
    ///
    /// # Errors
    /// [`ServiceError::Keys`]: the key file is the old one or the new one. [`ServiceError::Store`]: the version
    /// may be there without its entry in the log.
    pub fn rotate_key(&self, key: KeyKind) -> Result<KeyId, ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let version = self.verifier.keys.rotate(key, &self.verifier.env)?;
            self.tell(db, OPERATOR, now, &Event::KeyRotated { key, version })?;
            Ok(version)
        })
    }

    /// Removes an older version of a key for good. No card may be bound to it that is not blocked. With more
    /// than one key file, all of them must have the newer version first (docs/keys.md).
    ///
    /// # Errors
    /// [`KeyFileError::InUse`], [`KeyFileError::Newest`], [`KeyFileError::NoSuchKey`].
    pub fn retire_key(&self, key: KeyKind, version: KeyId) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let cards = cards_bound(db, key, version, now)?;
            if cards > 0 {
                return Err(KeyFileError::InUse { kind: key, id: version, cards }.into());
            }
            self.verifier.keys.retire(key, version, &self.verifier.env)?;
            self.tell(db, OPERATOR, now, &Event::KeyRetired { key, version })?;
            Ok(())
        })
    }
}

impl Desk<'_> {
    /// Makes another version of the key that authenticates what the outbox sends, and returns it. The one before signs beside it
    /// for `overlap` seconds.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`]; [`ServiceError`] if the store fails.
    pub fn rotate_webhook_key(&self, overlap: u32) -> Result<Key256, ServiceError> {
        self.reasoned()?;
        let now = self.now();
        let older_until = Timestamp(now.0.saturating_add(i64::from(overlap)));
        let version = self.write(|db| {
            let version = webhook_version(db)?.0 + 1;
            self.tell(db, OPERATOR, now, &Event::WebhookKeyRotated { version, older_until })?;
            Ok(version)
        })?;
        Ok(self.verifier.webhook_key(version))
    }
}

/// Which version of the webhook's key signs, and until when the one before signs, too.
fn webhook_version(db: &mut dyn Sql) -> Result<(u32, Timestamp), ServiceError> {
    let sql = "SELECT webhook_key, webhook_until FROM server";
    let read = |row: &Row<'_>| Ok((row.count("webhook_key")?, Timestamp(row.int("webhook_until")?)));
    db.first(sql, &[], read)?.ok_or(StoreError::BadRow { what: "server" }.into())
}

impl Verifier {
    /// Reads the key file again, with what opens it from now on.
    ///
    /// # Errors
    /// [`ServiceError::Keys`]: everything goes on with the keys as they were.
    pub fn reopen_keys(&self, access: KeyAccess) -> Result<(), ServiceError> {
        Ok(self.keys.reopen(access, &self.env)?)
    }

    /// Signs a checkpoint of the audit log (RSASSA-PSS, SHA-256).
    ///
    /// # Errors
    /// [`ServiceError::Crypto`].
    pub fn sign_checkpoint(&self, checkpoint: &[u8]) -> Result<Vec<u8>, ServiceError> {
        Ok(self.keys.sign_checkpoint(checkpoint)?)
    }

    /// The keys that authenticate what the outbox sends now, by HMAC-SHA-256 over id, moment and body; the newest one first.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn webhook_keys(&self) -> Result<Vec<Key256>, ServiceError> {
        let (version, older_until) = self.store.read(|db| webhook_version(db))?;
        let older = (self.now() < older_until).then(|| version.checked_sub(1)).flatten();
        Ok([Some(version), older].into_iter().flatten().map(|version| self.webhook_key(version)).collect())
    }

    /// One version of the key that authenticates what the outbox sends: made of the secret in the key file and the version, in the
    /// counter mode of SP 800-108 with AES-256-CMAC.
    fn webhook_key(&self, version: u32) -> Key256 {
        let mut key = Zeroizing::new([0; 32]);
        for (count, half) in (1_u8..).zip(key.chunks_mut(16)) {
            let input: [&[u8]; 3] = [&[count], b"onetap/webhook", &version.to_be_bytes()];
            half.copy_from_slice(&self.env.crypto.cmac(&self.keys.webhook, &input));
        }
        Key256::new(*key)
    }

    /// What verifies the signatures of audit checkpoints, as SubjectPublicKeyInfo DER (RSASSA-PSS, SHA-256).
    #[must_use]
    pub fn checkpoint_public_key(&self) -> Vec<u8> {
        self.keys.checkpoint_public_spki()
    }
}

/// How many enrolments are bound to this version and may still be used: now, or once they are activated.
fn cards_bound(db: &mut dyn Sql, kind: KeyKind, id: KeyId, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "SELECT k.binding, c.newest_key, c.older_until FROM cards c
        JOIN card_keys k USING (account_id, card_id) WHERE c.state <> 'blocked'";
    let mut cards = 0;
    db.query(sql, &[], &mut |row| {
        let binding: Binding = books::from_json(row.text("binding")?, "card")?;
        let superseded = i64::from(binding.signing_key) < row.int("newest_key")?;
        let over = superseded && row.opt_int("older_until")?.is_none_or(|until| until <= now.0);
        let bound = match kind {
            KeyKind::Server => binding.server_key,
            KeyKind::Issuer => binding.issuer_key,
        };
        cards += u64::from(bound == id && !over);
        Ok(())
    })?;
    Ok(cards)
}
