//! The audit log: for each account a chain of entries, each sealed over the one before with a key
//! that is not in the database, so that a change, a removal or another order shows.

use onetap_apdu_spec::crypto::{Block, Crypto, Key256};

use subtle::ConstantTimeEq as _;

use crate::domain::{StoreError, Timestamp};

/// One entry as it is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) account: i64,
    pub(crate) sequence: i64,
    pub(crate) at: Timestamp,
    /// The event as JSON, exactly as stored.
    pub(crate) event: &'a str,
}

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

    /// The end of a chain once `event` is added to it as JSON.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if the chain does not end as it was left.
    pub(crate) fn append(
        &self,
        account: i64,
        last: &End,
        at: Timestamp,
        event: &str,
    ) -> Result<End, StoreError> {
        if !self.holds(account, last) {
            return Err(StoreError::BadRow { what: "audit chain" });
        }
        let sequence = last.sequence + 1;
        let seal = self.seal(&last.seal, &Sealed { account, sequence, at, event });
        Ok(self.end(account, sequence, seal))
    }

    /// The seal over an entry and the one before it.
    pub(crate) fn seal(&self, before: &Block, entry: &Sealed<'_>) -> Block {
        let place = [entry.account, entry.sequence, entry.at.0].map(i64::to_be_bytes);
        let [account, sequence, at] = &place;
        let hash =
            self.crypto.sha256(&[b"onetap/audit", before, account, sequence, at, entry.event.as_bytes()]);
        self.crypto.cmac(&self.key, &[&hash])
    }
}
