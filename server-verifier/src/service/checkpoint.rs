//! Checkpoints: where every chain ends, under the server's signature, kept outside the database. Whoever
//! restores an older copy of the database, of one account or of all, takes back entries that a checkpoint has.
//!
//! A checkpoint is JSON Lines: one line for each chain, in the order of the accounts' rows, then the statement
//! with the digest of them all and the signature over it (RSASSA-PSS, SHA-256).

use std::io::{BufRead, Write};

use onetap_apdu_spec::crypto::{Block, Crypto, Digest};
use onetap_apdu_spec::foreign::unframed;
use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::suite::SignatureAlgorithm;

use crate::books;
use crate::books::accounts::{OPERATOR, each_chain};
use crate::books::chain::ORIGIN;
use crate::books::sql::{Row, Sql, params};
use crate::domain::{Event, MAX_PAGE, StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

const FORMAT: u32 = 1;

/// Where one chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Row of the account; 0 is the operator's own chain.
    pub(super) account: i64,
    /// Place of the last entry.
    pub(super) sequence: i64,
    /// Its seal.
    #[serde(with = "hex::serde")]
    pub(super) seal: Block,
}

/// What is signed of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Format of the file.
    pub format: u32,
    /// Whose log.
    pub server: ServerId,
    /// When.
    pub at: Timestamp,
    /// How many chains.
    pub chains: u64,
    /// Running digest of their ends.
    #[serde(with = "hex::serde")]
    pub root: Digest,
}

/// That a checkpoint was signed, as the operator's chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct SignedCheckpoint {
    /// Place of the entry in that chain.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// How many chains.
    pub chains: u64,
    /// Running digest of their ends.
    #[serde(with = "hex::serde")]
    pub root: Digest,
}

/// The last line.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    checkpoint: Checkpoint,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

impl Checkpoint {
    fn signed_bytes(&self) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            b"onetap/audit-checkpoint",
            &self.format.to_be_bytes(),
            &self.server.0,
            &self.at.0.to_be_bytes(),
            &self.chains.to_be_bytes(),
            &self.root,
        ];
        parts.concat()
    }
}

/// The ends, gathered one after another.
pub(super) struct Roots<'a> {
    crypto: &'a dyn Crypto,
    pub(super) chains: u64,
    pub(super) root: Digest,
}

impl<'a> Roots<'a> {
    pub(super) fn new(crypto: &'a dyn Crypto) -> Self {
        Self { crypto, chains: 0, root: [0; 32] }
    }

    pub(super) fn add(&mut self, head: &Head) {
        let (account, sequence) = (head.account.to_be_bytes(), head.sequence.to_be_bytes());
        self.root = self.crypto.sha256(&[&self.root, &account, &sequence, &head.seal]);
        self.chains += 1;
    }
}

impl Desk<'_> {
    /// Writes a checkpoint of the whole log, of one moment, to `out`, and an entry about it to the operator's
    /// chain. Keep it where who can write to the database cannot.
    ///
    /// # Errors
    /// [`ServiceError::File`] if it cannot be written; [`ServiceError`] of store or keys.
    pub fn checkpoint(&self, out: &mut dyn Write) -> Result<Checkpoint, ServiceError> {
        let at = self.now();
        let mut roots = Roots::new(self.verifier.env.crypto);
        self.verifier.store.read_long(|db| {
            each_chain(db, |_, account, end, _| {
                let head = Head { account, sequence: end.sequence, seal: end.seal };
                roots.add(&head);
                line(out, &head)
            })
        })?;
        let (server, chains, root) = (self.verifier.server_id(), roots.chains, roots.root);
        let checkpoint = Checkpoint { format: FORMAT, server, at, chains, root };
        let signature = self.verifier.sign_checkpoint(&checkpoint.signed_bytes())?;
        line(out, &Statement { checkpoint, signature })?;
        out.flush().map_err(ServiceError::File)?;
        let event = Event::Checkpointed { chains, root };
        self.write(|db| Ok(self.tell(db, OPERATOR, at, &event)?))?;
        Ok(checkpoint)
    }
}

impl Verifier {
    /// The checkpoints that were signed, newest first, `limit` of them at most and never more than
    /// [`MAX_PAGE`]; with `before`, those whose entry comes before that place.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn checkpoints(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SignedCheckpoint>, ServiceError> {
        let sql = r#"SELECT sequence, at, event FROM audit WHERE account_id = ?1 AND sequence < ?2
            AND event LIKE '{"event":"checkpointed",%' ORDER BY sequence DESC LIMIT ?3"#;
        let params = params![OPERATOR, before.unwrap_or(i64::MAX), limit.min(MAX_PAGE)];
        self.store.read(|db| Ok(db.all(sql, &params, signed)?))
    }

    /// Checks a checkpoint's signature, and that the log still has every entry that it names.
    ///
    /// # Errors
    /// [`ServiceError::BadCheckpoint`] if it is not this server's, or damaged; [`ServiceError::RolledBack`]
    /// with the account whose log has lost or changed entries since.
    pub fn checkpoint_verify(&self, file: &mut dyn BufRead) -> Result<Checkpoint, ServiceError> {
        let (checkpoint, heads) = self.read_checkpoint(file)?;
        self.store.read_long(|db| {
            for head in &heads {
                if !still_there(db, head)? {
                    return Err(ServiceError::RolledBack { account: head.account });
                }
            }
            Ok(checkpoint)
        })
    }

    fn read_checkpoint(&self, file: &mut dyn BufRead) -> Result<(Checkpoint, Vec<Head>), ServiceError> {
        let (mut roots, mut heads) = (Roots::new(self.env.crypto), Vec::new());
        for text in file.lines() {
            let text = text.map_err(ServiceError::File)?;
            let text = unframed(&text);
            if let Ok(head) = serde_json::from_str::<Head>(text) {
                roots.add(&head);
                heads.push(head);
                continue;
            }
            let last: Statement = serde_json::from_str(text).map_err(|_| ServiceError::BadCheckpoint)?;
            let Statement { checkpoint, signature } = last;
            let key = self.env.crypto.rsa_public(&self.checkpoint_public_key())?;
            let signed = checkpoint.signed_bytes();
            let genuine = key.verify(SignatureAlgorithm::PssSha256, &signed, &signature).is_ok()
                && checkpoint.format == FORMAT
                && checkpoint.server == self.server_id()
                && (checkpoint.chains, checkpoint.root) == (roots.chains, roots.root);
            return if genuine { Ok((checkpoint, heads)) } else { Err(ServiceError::BadCheckpoint) };
        }
        Err(ServiceError::BadCheckpoint)
    }
}

/// One value as a line of JSON.
pub(super) fn line<T: serde::Serialize>(out: &mut dyn Write, value: &T) -> Result<(), ServiceError> {
    serde_json::to_writer(&mut *out, value).map_err(|error| ServiceError::File(error.into()))?;
    out.write_all(b"\n").map_err(ServiceError::File)
}

/// Reads an entry that tells of a checkpoint.
fn signed(row: &Row<'_>) -> Result<SignedCheckpoint, StoreError> {
    match books::from_json(row.text("event")?, "audit entry")? {
        Event::Checkpointed { chains, root } => Ok(SignedCheckpoint {
            sequence: row.int("sequence")?,
            at: Timestamp(row.int("at")?),
            chains,
            root,
        }),
        _ => Err(StoreError::BadRow { what: "checkpoint" }),
    }
}

/// Whether the chain still has the entry at which it ended.
fn still_there(db: &mut dyn Sql, head: &Head) -> Result<bool, StoreError> {
    if head.sequence == 0 {
        let sql = "SELECT count(*) FROM accounts WHERE account_id = ?1";
        return Ok(head.seal == ORIGIN && db.count(sql, &params![head.account])? == 1);
    }
    let sql = "SELECT seal FROM audit WHERE account_id = ?1 AND sequence = ?2";
    let seal = db.first(sql, &params![head.account, head.sequence], |row| row.array("seal"))?;
    Ok(seal == Some(head.seal))
}
