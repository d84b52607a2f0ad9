//! Whether the log is whole, and whether the database is what it tells.
//!
//! | room | what lives there |
//! |---|---|
//! | `chains` | reads the log, chain by chain, and sums the rows that it tells |
//! | `rows` | holds the rows that are there against them |
//! | `sums` | sums of rows |
//! | `evidence` | finds the keys under which cards have signed |
//! | `signatures` | verifies what cards have signed, on threads of its own |

mod chains;
mod evidence;
mod rows;
mod signatures;
mod sums;

use std::thread;

pub use self::chains::Audited;
use self::chains::Chains;
use self::evidence::Evidence;
use self::signatures::{Signatures, yield_to_others};
use crate::books;
use crate::books::sql::{Sql, params};
use crate::domain::MAX_PAGE;
use crate::service::Verifier;
use crate::service::backup::KEEP_ANSWERS;
use crate::service::error::ServiceError;

/// Seconds by which the clocks of the servers that share a database differ at most.
const CLOCKS_APART: i64 = 300;

impl Verifier {
    /// Checks that no entry of the log was changed, removed or moved, that each card's signature over what was executed
    /// holds, that the rows of all tables are what the log tells, both ways, and that the schema is as this program
    /// makes it. Works on a snapshot and at a low priority, so that payments go on meanwhile.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] with the first entry that does not fit, [`ServiceError::RowsBroken`] with
    /// what is not as the log tells, [`ServiceError::SchemaBroken`] with what is not as this program makes it.
    pub fn audit_verify(&self) -> Result<Audited, ServiceError> {
        if let Some(what) = self.store.strange_part()? {
            return Err(ServiceError::SchemaBroken { what });
        }
        // Before the snapshot: what is forgotten meanwhile is older.
        let kept_since = self.env.clock.now().0.saturating_sub(KEEP_ANSWERS - CLOCKS_APART);
        thread::scope(|scope| {
            let signatures = Signatures::start(scope, self.env.crypto)?;
            let work = || {
                yield_to_others();
                self.store.read_long(|db| self.verify_all(db, Evidence::new(self, signatures), kept_since))
            };
            scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Accounts a page at a time, so that little is held in memory.
    fn verify_all(
        &self,
        db: &mut dyn Sql,
        evidence: Evidence<'_>,
        kept_since: i64,
    ) -> Result<Audited, ServiceError> {
        let page = "SELECT account_id FROM accounts WHERE account_id >= ?1 ORDER BY account_id LIMIT ?2";
        let all = books::all_entries(db)?;
        let (mut chains, mut from) = (Chains::new(self, evidence, kept_since, all), i64::MIN);
        loop {
            let accounts = db.all(page, &params![from, MAX_PAGE], |row| row.int("account_id"))?;
            // The last page has what belongs to accounts that do not exist, too.
            let last = accounts.get(MAX_PAGE as usize - 1).copied();
            let range = (from, last.unwrap_or(i64::MAX));
            let told = chains.read(db, range)?;
            rows::verify_accounts(db, &self.sealer, range, &told)?;
            match last.and_then(|last| last.checked_add(1)) {
                Some(next) => from = next,
                None => break,
            }
        }
        let (told, mut evidence) = chains.end();
        rows::verify_common(db, &self.sealer, &told)?;
        if told.older {
            rows::verify_older_evidence(db, &mut evidence)?;
        }
        Ok(Audited { unusable_keys: evidence.finish()?, ..told.audited })
    }
}
