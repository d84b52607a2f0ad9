//! The audit log, and whether it holds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Read};
use super::checkpoints::CheckpointBody;
use super::hub::Hub;
use super::inspection::{BooksBody, Running, VerificationBody};
use super::json::{Query, answer};
use super::parts::{Page, page_limit, time_place};
use super::problem::Problem;
use crate::domain::{Actor, Chain, Event, EventName, LogEntry, Sought, Timestamp};

/// An entry of the audit log. Which further fields it has depends on `event`; docs/data-model.md lists them.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry, example = json!({"account": "1000000000009", "sequence": 7, "at": "2026-03-19T14:05:31Z", "by": "operator ada", "reason": "called, and was recognised", "event": "unlocked", "voided": []}))]
pub(crate) struct EntryBody {
    /// Whose chain has it; null in the operator's own
    #[schema(value_type = Option<String>)]
    account: Option<AccountNumber>,
    /// Place in its chain, from 1
    sequence: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who did it, as its kind and its name; left out if an older version did not note it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    by: Option<Actor>,
    /// Why, if it was said
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = AuditEvent)]
    event: Event,
}

/// What happened.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes a part of others' JSON")]
pub(crate) struct AuditEvent {
    /// Its name, such as `executed`
    #[schema(pattern = "^[a-z-]+$")]
    event: String,
}

impl From<LogEntry> for EntryBody {
    fn from(entry: LogEntry) -> Self {
        let LogEntry { account, sequence, at, by, reason, event } = entry;
        Self { account, sequence, at, by, reason, event }
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
    /// Of all chains, in the order of time; without `account`
    #[serde(default)]
    all: bool,
    /// Those of this event, such as `wrong-password`
    #[param(value_type = Option<String>, pattern = "^[a-z-]{1,40}$")]
    event: Option<EventName>,
    /// Those that name this terminal
    #[param(value_type = Option<String>)]
    terminal: Option<TerminalId>,
    /// From this moment on
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Up to this moment
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// After this place: the `next` of the page before
    after: Option<String>,
    /// The last ones instead of the first; with `account` and `limit` only
    #[serde(default)]
    last: bool,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What is known about the books without looking at them anew.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditState, example = json!({"running_since": null, "last": null, "checkpoint": {"entry": 9, "at": "2026-03-19T14:05:31Z", "chains": 3, "root": "9b5ae16d01c1cb9ac49e5b6a4ef0cde6fd4c9b3e8a4e26d1ea9e2d7a3c1f0b52"}}))]
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
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_log", tag = "audit", params(Entries),
    responses((status = 200, body = Page<EntryBody>)))]
pub(crate) async fn entries(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Entries>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let Entries { account, all, event, terminal, from, to, after, last, .. } = query;
    if all && account.is_some() {
        return Err(Problem::malformed("all chains, or one account's: leave `all` or `account` out"));
    }
    if last {
        let filtered = all || event.is_some() || terminal.is_some() || from.is_some() || to.is_some();
        if filtered || after.is_some() {
            return Err(Problem::malformed("with `last` give `account` and `limit` only"));
        }
        let found = hub.verifier.run(move |verifier| verifier.log_tail(account.as_ref(), limit)).await?;
        return Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(EntryBody::from), None, limit)));
    }
    let chain = match account {
        Some(account) => Chain::Account(account),
        None if all => Chain::All,
        None => Chain::Operator,
    };
    let sought = Sought { chain, event, terminal, ..Sought::between(from, to) };
    let after = time_place(after.as_deref())?;
    let found = hub.verifier.run(move |verifier| verifier.search_log(&sought, after, limit)).await?;
    let last = found.last().map(|(place, _)| place.to_string());
    let found = found.into_iter().map(|(_, entry)| EntryBody::from(entry));
    Ok(answer(StatusCode::OK, &Page::new(found, last, limit)))
}

/// Checks the audit chains and the ledger: one such check at a time.
///
/// It goes on if the client goes; its result is in `/v1/audit/state`.
#[utoipa::path(post, path = "/v1/audit/verify", operation_id = "verify_books", tag = "audit",
    responses((status = 200, body = BooksBody), (status = 409)))]
pub(crate) async fn verify(caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let running = Running::begin(&hub.inspection, hub.verifier.now())?;
    let by = caller.name().to_owned();
    let books = hub.verifier.run(move |verifier| running.inspect(verifier, by)).await?;
    Ok(answer(StatusCode::OK, &books))
}

/// The last verification, whether one runs, and the last checkpoint.
#[utoipa::path(get, path = "/v1/audit/state", operation_id = "show_audit_state", tag = "audit", responses((status = 200, body = StateBody)))]
pub(crate) async fn state(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let known = hub.inspection.known();
    let found = hub.verifier.run(move |verifier| verifier.checkpoints(None, 1)).await?;
    let checkpoint = found.into_iter().next().map(CheckpointBody::from);
    let state = StateBody { running_since: known.running_since, last: known.last, checkpoint };
    Ok(answer(StatusCode::OK, &state))
}
