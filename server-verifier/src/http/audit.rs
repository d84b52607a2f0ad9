//! The audit log, and whether it holds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Read};
use super::checkpoints::CheckpointBody;
use super::hub::Hub;
use super::inspection::{BooksBody, Running, VerificationBody};
use super::json::{Query, answer};
use super::parts::{Page, page_limit};
use super::problem::{Problem, ProblemBody};
use crate::domain::{LogEntry, Timestamp};

/// An entry of the audit log. Which further fields it has depends on `event`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryBody {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    entry: LogEntry,
}

impl From<LogEntry> for EntryBody {
    fn from(entry: LogEntry) -> Self {
        Self { entry }
    }
}

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
    let found = hub.verifier.run(move |verifier| match query.last {
        true => verifier.log_tail(query.account.as_ref(), limit),
        false => verifier.log_page(query.account.as_ref(), query.after.unwrap_or(0), limit),
    });
    let found = found.await?;
    let last = found.last().filter(|_| !query.last).map(|entry| entry.sequence.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(EntryBody::from), last, limit)))
}

/// Checks the audit chains and the ledger: one such check at a time.
///
/// It goes on if the client goes; its result is in `/v1/audit/state`.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = BooksBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn verify(caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let running = Running::begin(&hub.inspection, hub.verifier.now())?;
    let by = caller.name().to_owned();
    let books = hub.verifier.run(move |verifier| running.inspect(verifier, by)).await?;
    Ok(answer(StatusCode::OK, &books))
}

/// The last verification, whether one runs, and the last checkpoint.
#[utoipa::path(get, path = "/v1/audit/state", tag = "audit", responses((status = 200, body = StateBody)))]
pub(crate) async fn state(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let known = hub.inspection.known();
    let found = hub.verifier.run(move |verifier| verifier.checkpoints(None, 1)).await?;
    let checkpoint = found.into_iter().next().map(CheckpointBody::from);
    let state = StateBody { running_since: known.running_since, last: known.last, checkpoint };
    Ok(answer(StatusCode::OK, &state))
}
