//! The log as JSON Lines, from which `rebuild` makes a database anew. docs/data-model.md has the form.

use std::borrow::Cow;
use std::io::Write;

use onetap_apdu_spec::crypto::{Block, Digest};
use onetap_apdu_spec::header::ServerId;

use crate::books::chain::{End, Entry, Place, Sealer, entry_columns};
use crate::books::sql::{Row, Sql, params};
use crate::books::{all_entries, each_chain};
use crate::domain::{StoreError, Timestamp};
use crate::keys::environment::Environment;
use crate::service::Verifier;
use crate::service::checkpoint::{Head, Roots, line};
use crate::service::error::ServiceError;

/// Version of the form.
pub(super) const FORMAT: u32 = 1;
/// Entries that are in memory at once.
const PAGE: u32 = 100;

/// A line.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line<'a> {
    /// The first one.
    Log { format: u32, server: ServerId },
    #[serde(borrow)]
    Entry(Box<Written<'a>>),
    /// Where a chain ends: comes after its entries.
    Chain(Head),
    /// The last one.
    End(Totals),
}

/// An entry with all that its seal covers.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written<'a> {
    /// Row of the account whose chain has it; 0 is the operator's own chain.
    account: i64,
    /// Number of the account, if it has one: for the reader only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    sequence: i64,
    at: Timestamp,
    /// None if an older version wrote the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The event as JSON, exactly as it is sealed.
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Hex>,
    #[serde(with = "hex::serde")]
    pub(super) seal: Block,
}

/// Bytes, in hexadecimal.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Hex(#[serde(with = "hex::serde")] Vec<u8>);

/// What the whole log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Totals {
    chains: u64,
    entries: u64,
    /// The running digest of the chains' ends, as in a checkpoint.
    #[serde(with = "hex::serde")]
    root: Digest,
    /// Keyed tag over all that: a log that lacks chains cannot be completed without the server's keys.
    #[serde(with = "hex::serde")]
    tag: Block,
}

impl Written<'_> {
    fn read(row: &Row<'_>, number: Option<&str>) -> Result<Self, StoreError> {
        let (entry, seal) = Entry::read(row)?;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let bytes = |bytes: Option<&[u8]>| bytes.map(|bytes| Hex(bytes.to_vec()));
        Ok(Self {
            account: entry.place.account,
            number: text(number),
            sequence: entry.place.sequence,
            at: entry.place.at,
            actor: text(entry.actor),
            reason: text(entry.reason),
            event: entry.event.to_owned().into(),
            idempotency_key: text(entry.key),
            body: bytes(entry.body),
            message: bytes(entry.message),
            signature: bytes(entry.signature),
            object: bytes(entry.object),
            seal,
        })
    }

    /// The entry, but for its seal.
    pub(super) fn entry(&self) -> Entry<'_> {
        fn bytes(hex: Option<&Hex>) -> Option<&[u8]> {
            hex.map(|Hex(bytes)| bytes.as_slice())
        }
        Entry {
            place: Place { account: self.account, sequence: self.sequence, at: self.at },
            actor: self.actor.as_deref(),
            reason: self.reason.as_deref(),
            event: &self.event,
            key: self.idempotency_key.as_deref(),
            body: bytes(self.body.as_ref()),
            message: bytes(self.message.as_ref()),
            signature: bytes(self.signature.as_ref()),
            object: bytes(self.object.as_ref()),
        }
    }
}

impl Totals {
    pub(super) fn new(
        env: &Environment,
        sealer: &Sealer,
        server: ServerId,
        roots: &Roots<'_>,
        entries: u64,
    ) -> Self {
        let Roots { chains, root, .. } = *roots;
        let counts = [chains.to_be_bytes(), entries.to_be_bytes()];
        let parts: [&[u8]; 5] = [b"onetap/audit-export", &server.0, &counts[0], &counts[1], &root];
        Self { chains, entries, root, tag: env.crypto.cmac(sealer.key(), &parts) }
    }
}

impl Verifier {
    /// Writes the whole log, of one moment, as JSON Lines, chain by chain. Returns how many entries it has.
    ///
    /// # Errors
    /// [`ServiceError::File`] if it cannot be written; [`ServiceError::AuditBroken`] if a chain does not end as it was left;
    /// [`ServiceError::Store`].
    pub fn export_log(&self, out: &mut dyn Write) -> Result<u64, ServiceError> {
        let (mut roots, mut entries) = (Roots::new(self.env.crypto), 0);
        self.store.read_long(|db| {
            let all = all_entries(db)?;
            each_chain(db, |db, account, end, number| {
                // After the first query, which fixes the moment that is exported.
                if roots.chains == 0 {
                    line(out, &Line::Log { format: FORMAT, server: self.server_id() })?;
                }
                entries += self.export_chain(db, out, account, end, number)?;
                self.env.watch.at(entries, all);
                let head = Head { account, sequence: end.sequence, seal: end.seal };
                roots.add(&head);
                line(out, &Line::Chain(head))
            })
        })?;
        line(out, &Line::End(Totals::new(&self.env, &self.sealer, self.server_id(), &roots, entries)))?;
        out.flush().map_err(ServiceError::File)?;
        Ok(entries)
    }

    /// The entries of one chain; all of them, as its end says.
    fn export_chain(
        &self,
        db: &mut dyn Sql,
        out: &mut dyn Write,
        account: i64,
        end: &End,
        number: Option<&str>,
    ) -> Result<u64, ServiceError> {
        let mut last = self.sealer.begin(account);
        loop {
            let page = page(db, account, last.sequence, number)?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                last = End { sequence: last.sequence + 1, seal: entry.seal, ..last };
                if entry.sequence != last.sequence {
                    return Err(ServiceError::AuditBroken { account, sequence: last.sequence });
                }
                line(out, &Line::Entry(Box::new(entry)))?;
            }
        }
        let whole = self.sealer.holds(account, end) && (end.sequence, end.seal) == (last.sequence, last.seal);
        if !whole {
            return Err(ServiceError::AuditBroken { account, sequence: last.sequence + 1 });
        }
        Ok(u64::try_from(end.sequence).unwrap_or(0))
    }
}

/// The entries of a chain after place `after`, as many as are in memory at once.
pub(super) fn page(
    db: &mut dyn Sql,
    account: i64,
    after: i64,
    number: Option<&str>,
) -> Result<Vec<Written<'static>>, StoreError> {
    let sql = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM audit WHERE account_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"
    );
    db.all(sql, &params![account, after, PAGE], |row| Written::read(row, number))
}
