//! The audit log, and whether it holds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::{EntryBody, Page, page_limit};
use crate::audit::{Event, LogEntry};
use crate::environment::Timestamp;
use crate::error::ServiceError;
use crate::http::Hub;
use crate::http::caller::{Caller, Read};
use crate::http::identity::blocking;
use crate::http::inspection::{BooksBody, Running, VerificationBody};
use crate::http::json::{Query, answer};
use crate::http::problem::{Problem, ProblemBody};
use crate::service::Verifier;
use crate::store::books::{self, OPERATOR};
use crate::store::sql::params;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Entries {
    /// Of this account's chain; the operator's own if left out
    #[param(value_type = Option<String>)]
    account: Option<AccountNumber>,
    /// After this place in the chain
    after: Option<i64>,
    /// The last ones instead of the first; without `after`
    #[serde(default)]
    last: bool,
    /// So many at most, up to 1000; 100 if left out
    limit: Option<u32>,
}

/// The last checkpoint that was signed.
#[derive(Serialize, ToSchema)]
#[schema(as = LastCheckpoint)]
pub(crate) struct CheckpointBody {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How many chains it covers
    chains: u64,
    /// Running digest of their ends, 64 hexadecimal digits
    root: String,
}

/// What is known about the books without looking at them anew.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditState)]
pub(crate) struct StateBody {
    /// Since when a verification runs, if one does
    #[schema(value_type = Option<String>, format = DateTime)]
    running_since: Option<Timestamp>,
    /// The last verification of this process
    last: Option<VerificationBody>,
    /// The last checkpoint of this database
    checkpoint: Option<CheckpointBody>,
}

/// The log of one account, or the operator's own, oldest entry first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Entries),
    responses((status = 200, body = Page<EntryBody>)))]
pub(crate) async fn entries(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Entries>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    if query.last && query.after.is_some() {
        return Err(Problem::malformed("the last entries come after none: leave `after` out"));
    }
    let found = blocking(move || match query.last {
        true => last_entries(&hub.verifier, query.account.as_ref(), limit),
        false => hub.verifier.log_page(query.account.as_ref(), query.after.unwrap_or(0), limit),
    });
    let found = found.await?;
    let last = found.last().filter(|_| !query.last).map(|entry| entry.sequence.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(EntryBody::from), last, limit)))
}

fn last_entries(
    verifier: &Verifier,
    account: Option<&AccountNumber>,
    limit: u32,
) -> Result<Vec<LogEntry>, ServiceError> {
    let end = verifier.store.read(|db| {
        let end = match account {
            Some(number) => {
                let sql = "SELECT audit_sequence FROM accounts WHERE number = ?1";
                db.first(sql, &params![&number.to_string()], |row| row.int(0))?
            }
            None => {
                let sql = "SELECT audit_sequence FROM accounts WHERE account_id = ?1";
                db.first(sql, &params![OPERATOR], |row| row.int(0))?
            }
        };
        Ok::<_, ServiceError>(end)
    })?;
    let after = end.unwrap_or(0).saturating_sub(i64::from(limit)).max(0);
    verifier.log_page(account, after, limit)
}

/// Checks the audit chains and the ledger: one such check at a time.
///
/// It goes on if the client goes; its result is in `/v1/audit/state`.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = BooksBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn verify(caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let running = Running::begin(&hub.inspection, hub.verifier.env.clock.now())?;
    let by = caller.name().to_owned();
    let books = blocking(move || running.inspect(&hub.verifier, by)).await?;
    Ok(answer(StatusCode::OK, &books))
}

/// The last verification, whether one runs, and the last checkpoint.
#[utoipa::path(get, path = "/v1/audit/state", tag = "audit", responses((status = 200, body = StateBody)))]
pub(crate) async fn state(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let known = hub.inspection.known();
    let checkpoint = blocking(move || last_checkpoint(&hub.verifier)).await?;
    let state = StateBody { running_since: known.running_since, last: known.last, checkpoint };
    Ok(answer(StatusCode::OK, &state))
}

fn last_checkpoint(verifier: &Verifier) -> Result<Option<CheckpointBody>, ServiceError> {
    let sql = r#"SELECT at, event FROM audit WHERE account_id = ?1 AND event LIKE '{"event":"checkpointed",%'
        ORDER BY sequence DESC LIMIT 1"#;
    let found = verifier.store.read(|db| {
        let read = |row: &dyn crate::store::sql::Row| {
            Ok((Timestamp(row.int(0)?), books::from_json(row.text(1)?, "audit entry")?))
        };
        Ok::<Option<(Timestamp, Event)>, ServiceError>(db.first(sql, &params![OPERATOR], read)?)
    })?;
    Ok(match found {
        Some((at, Event::Checkpointed { chains, root })) => {
            Some(CheckpointBody { at, chains, root: hex::encode(root) })
        }
        _ => None,
    })
}
