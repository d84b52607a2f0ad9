//! The audit log: for each account a chain of entries, each sealed over the one before with a key
//! that is not in the database, so that a change, a removal or another order shows.

use onetap_apdu_spec::crypto::{Block, Crypto, Digest, Key256};
use subtle::ConstantTimeEq as _;

use crate::books::sql::{Row, Statement, params};
use crate::domain::{StoreError, Timestamp};

/// Where an entry stands in the log, and when it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) account: i64,
    pub(crate) sequence: i64,
    pub(crate) at: Timestamp,
}

/// One entry as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) place: Place,
    /// Who did it; none if an older version wrote the entry.
    pub(crate) actor: Option<&'a str>,
    /// Why, if it was said.
    pub(crate) reason: Option<&'a str>,
    /// The event as JSON, exactly as stored.
    pub(crate) event: &'a str,
    /// The idempotency key of the request that it answers.
    pub(crate) key: Option<&'a str>,
    /// The keyed tag of that request's body.
    pub(crate) body: Option<&'a [u8]>,
    /// T of what was executed.
    pub(crate) message: Option<&'a [u8]>,
    /// H and S of what was executed.
    pub(crate) signature: Option<&'a [u8]>,
    /// What the card owed besides S.
    pub(crate) object: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Reads a row of `entry_columns`.
    pub(crate) fn read(row: &Row<'a>) -> Result<(Self, Block), StoreError> {
        let place = Place {
            account: row.int("account_id")?,
            sequence: row.int("sequence")?,
            at: Timestamp(row.int("at")?),
        };
        let entry = Self {
            place,
            actor: row.opt_text("actor")?,
            reason: row.opt_text("reason")?,
            event: row.text("event")?,
            key: row.opt_text("idempotency_key")?,
            body: row.opt_bytes("body")?,
            message: row.opt_bytes("message")?,
            signature: row.opt_bytes("signature")?,
            object: row.opt_bytes("object")?,
        };
        Ok((entry, row.array("seal")?))
    }

    /// The statement that adds it.
    pub(crate) fn insert(&self, seal: &'a Block) -> Statement<'a> {
        let Place { account, sequence, at } = self.place;
        Statement::new(
            INSERT,
            &params![
                account,
                sequence,
                at.0,
                self.actor,
                self.reason,
                self.event,
                self.key,
                self.body,
                self.message,
                self.signature,
                self.object,
                seal
            ],
        )
    }
}

/// The columns of an entry, in the order of [`Entry::insert`].
macro_rules! entry_columns {
    () => {
        "account_id, sequence, at, actor, reason, event, idempotency_key, body, message, signature, object, seal"
    };
}
pub(crate) use entry_columns;

const INSERT: &str = concat!(
    "INSERT INTO audit (",
    entry_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
);

/// Where a chain ends, as its account's row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Place of the last entry; 0 of an empty chain.
    pub(crate) sequence: i64,
    /// Its seal.
    pub(crate) seal: Block,
    /// The tag over both: a chain that was cut short has seals that fit, but not this.
    pub(crate) head: Block,
}

/// Seals chains, with a key that is not in the database.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    crypto: &'static dyn Crypto,
    key: Key256,
}

/// The seal of the entry that comes before a chain's first.
pub(crate) const ORIGIN: Block = [0; 16];

impl Sealer {
    pub(crate) fn new(crypto: &'static dyn Crypto, key: Key256) -> Self {
        Self { crypto, key }
    }

    /// The key of seals, which keys the tag of an exported log, too.
    pub(crate) fn key(&self) -> &Key256 {
        &self.key
    }

    /// A tag of a row, for sums over rows: who lacks the key cannot choose rows whose sums are equal.
    pub(crate) fn tag(&self, row: &[u8]) -> u128 {
        u128::from_be_bytes(self.crypto.cmac(&self.key, &[b"onetap/row", row]))
    }

    /// The end of a chain without entries.
    pub(crate) fn begin(&self, account: i64) -> End {
        self.end(account, 0, ORIGIN)
    }

    /// The end of a chain whose last entry has this place and seal.
    pub(crate) fn end(&self, account: i64, sequence: i64, seal: Block) -> End {
        let place = [account, sequence].map(i64::to_be_bytes);
        let [account, at] = &place;
        let head = self.crypto.cmac(&self.key, &[b"onetap/audit-head", account, at, &seal]);
        End { sequence, seal, head }
    }

    /// Whether the chain of `account` was left with this end.
    pub(crate) fn holds(&self, account: i64, end: &End) -> bool {
        self.end(account, end.sequence, end.seal).head.ct_eq(&end.head).into()
    }

    /// The end of a chain once `entry` is added to it.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if the chain does not end as it was left.
    pub(crate) fn append(&self, last: &End, entry: &Entry<'_>) -> Result<End, StoreError> {
        let Place { account, sequence, .. } = entry.place;
        if !self.holds(account, last) || sequence != last.sequence + 1 {
            return Err(StoreError::BadRow { what: "audit chain" });
        }
        Ok(self.end(account, sequence, self.seal(&last.seal, entry)))
    }

    /// The seal over an entry and the one before it. What an older version wrote has an event only.
    pub(crate) fn seal(&self, before: &Block, entry: &Entry<'_>) -> Block {
        let Place { account, sequence, at } = entry.place;
        let place = [account, sequence, at.0].map(i64::to_be_bytes);
        let [account, sequence, at] = &place;
        let Some(actor) = entry.actor else {
            let parts = [b"onetap/audit", before.as_slice(), account, sequence, at, entry.event.as_bytes()];
            return self.crypto.cmac(&self.key, &[&self.crypto.sha256(&parts)]);
        };
        let parts = [
            Some(actor.as_bytes()),
            entry.reason.map(str::as_bytes),
            Some(entry.event.as_bytes()),
            entry.key.map(str::as_bytes),
            entry.body,
            entry.message,
            entry.signature,
            entry.object,
        ];
        let fixed = [b"onetap/entry".as_slice(), before, account, sequence, at];
        self.crypto.cmac(&self.key, &[&framed_digest(self.crypto, &fixed, &parts)])
    }
}

/// SHA-256 over parts of fixed lengths, then over each other part after its length; one that is not there has a length
/// that none can have.
pub(crate) fn framed_digest(crypto: &dyn Crypto, fixed: &[&[u8]], parts: &[Option<&[u8]>]) -> Digest {
    let length = |part: &Option<&[u8]>| part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes();
    let lengths: Vec<_> = parts.iter().map(length).collect();
    let framed =
        lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), part.unwrap_or_default()]);
    let all: Vec<&[u8]> = fixed.iter().copied().chain(framed).collect();
    crypto.sha256(&all)
}
