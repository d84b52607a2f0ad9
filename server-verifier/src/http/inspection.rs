//! The verification of the books: one at a time, and what the last one found.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::CardId;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Kind;
use super::problem::Problem;
use crate::domain::Timestamp;
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// Whether the books hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Books, example = json!({"audit": true, "ledger": true, "taken_over": 0}))]
pub(crate) struct BooksBody {
    /// No entry of the log was changed, removed or moved, and the rows are what it tells
    audit: bool,
    /// Every transaction, account and currency balances
    ledger: bool,
    /// Rows that the log tells as they were taken over from an older version, or another shard, and no further back; left out if
    /// `audit` is false
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_over: Option<u64>,
    /// When the last of these were taken over; left out if there are none
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_over_at: Option<Timestamp>,
    /// Cards with a stored public key that no card may have, as an earlier version may have enrolled it: what they have signed
    /// proves nothing; left out if there are none
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    unusable_keys: Vec<CardId>,
    /// The first thing that does not hold
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<String>,
    /// In whose chain or rows it was found; the operator's own or the ledger if left out
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    account: Option<AccountNumber>,
    /// The first entry of the chain that does not fit
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<i64>,
}

/// Whether the ledger holds.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LedgerCheck, example = json!({"ledger": true}))]
pub(crate) struct LedgerBody {
    /// Every transaction, account, hold and currency balances
    ledger: bool,
    /// The first sum that does not
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<String>,
}

/// A verification that has ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Verification, example = json!({"audit": true, "ledger": true, "taken_over": 0, "at": "2026-03-19T14:05:31Z", "took_ms": 412, "by": "op"}))]
pub(crate) struct VerificationBody {
    #[serde(flatten)]
    books: BooksBody,
    /// When it ended
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Milliseconds from start to end
    took_ms: u64,
    /// The client that asked for it
    by: String,
}

/// Since when one runs, and what the last one found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verifications {
    pub(crate) running_since: Option<Timestamp>,
    pub(crate) last: Option<VerificationBody>,
}

/// The verifications of one process.
#[derive(Debug, Default)]
pub(crate) struct Inspection(Mutex<Verifications>);

impl Inspection {
    /// What is known now.
    pub(crate) fn known(&self) -> Verifications {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Verifications> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one verification that runs; others may as soon as it is dropped.
pub(crate) struct Running {
    inspection: Arc<Inspection>,
    start: Instant,
}

impl Running {
    /// Takes the place of the one that runs, if it is free.
    pub(crate) fn begin(inspection: &Arc<Inspection>, now: Timestamp) -> Result<Self, Problem> {
        let mut state = inspection.state();
        if let Some(since) = state.running_since {
            let detail =
                format!("a verification runs since {since}; /v1/audit/state has its result when it ends");
            return Err(Problem::new(Kind::Conflict, detail));
        }
        state.running_since = Some(now);
        drop(state);
        Ok(Self { inspection: Arc::clone(inspection), start: Instant::now() })
    }

    /// Verifies the books, and keeps what was found. May take minutes.
    pub(crate) fn inspect(self, verifier: &Verifier, by: String) -> Result<BooksBody, ServiceError> {
        let books = inspect(verifier)?;
        if let Some(finding) = &books.finding {
            tracing::error!(client = by, finding, "the books do not hold");
        }
        let last = VerificationBody {
            books: books.clone(),
            at: verifier.now(),
            took_ms: milliseconds(self.start.elapsed()),
            by,
        };
        self.inspection.state().last = Some(last);
        Ok(books)
    }

    /// Checks the sums of the ledger only. May take minutes, too.
    pub(crate) fn check_ledger(self, verifier: &Verifier, by: &str) -> Result<LedgerBody, ServiceError> {
        let finding = finding(verifier, verifier.ledger_check())?.err().map(|finding| finding.text);
        if let Some(finding) = &finding {
            tracing::error!(client = by, finding, "the ledger does not hold");
        }
        Ok(LedgerBody { ledger: finding.is_none(), finding })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inspection.state().running_since = None;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What does not hold, and where.
struct Finding {
    text: String,
    account: Option<AccountNumber>,
    entry: Option<i64>,
}

fn inspect(verifier: &Verifier) -> Result<BooksBody, ServiceError> {
    let audit = finding(verifier, verifier.audit_verify())?;
    let ledger = finding(verifier, verifier.ledger_check())?;
    let mut books = BooksBody {
        audit: audit.is_ok(),
        ledger: ledger.is_ok(),
        taken_over: audit.as_ref().ok().map(|audited| audited.taken_over),
        taken_over_at: audit.as_ref().ok().and_then(|audited| audited.taken_over_at),
        unusable_keys: audit.as_ref().map(|audited| audited.unusable_keys.clone()).unwrap_or_default(),
        finding: None,
        account: None,
        entry: None,
    };
    if let Some(Finding { text, account, entry }) = audit.err().or(ledger.err()) {
        (books.finding, books.account, books.entry) = (Some(text), account, entry);
    }
    Ok(books)
}

/// What was checked, or what does not hold.
fn finding<T>(
    verifier: &Verifier,
    checked: Result<T, ServiceError>,
) -> Result<Result<T, Finding>, ServiceError> {
    let error = match checked {
        Ok(checked) => return Ok(Ok(checked)),
        Err(error) => error,
    };
    let (account, entry) = match error {
        ServiceError::AuditBroken { account, sequence } => (Some(account), Some(sequence)),
        ServiceError::RowsBroken { account, .. } => (Some(account), None),
        ServiceError::LedgerBroken { .. } | ServiceError::SchemaBroken { .. } => (None, None),
        other => return Err(other),
    };
    let account = account.map(|row| verifier.number_of(row)).transpose()?.flatten();
    Ok(Err(Finding { text: error.to_string(), account, entry }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verification_runs_at_a_time() {
        let inspection = Arc::default();
        let first = Running::begin(&inspection, Timestamp(0));
        assert!(Running::begin(&inspection, Timestamp(1)).is_err());
        assert_eq!(inspection.known().running_since, Some(Timestamp(0)));
        drop(first);
        assert_eq!(inspection.known().running_since, None);
        assert!(Running::begin(&inspection, Timestamp(2)).is_ok());
    }
}
