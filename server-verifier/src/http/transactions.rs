//! What became of a transaction, and its opposite.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::{SystemName, TransactionId, TransactionRecord};
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Ask, Caller, Read};
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::Once;
use super::parts::{Page, ReasonBody, page_limit, time_place};
use super::problem::Problem;
use crate::domain::client::Role;
use crate::domain::{Chain, Settlement, Sought, Timestamp, Verdict};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// A transaction that was posted.
#[derive(Serialize, ToSchema)]
#[schema(as = Posted, example = json!({"transaction": "capture-17-4"}))]
pub(crate) struct PostedBody {
    /// Its id
    #[schema(value_type = String)]
    pub(super) transaction: TransactionId,
}

/// What another system says of a transaction that was accepted for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Verdict, example = json!({"state": "settled", "reason": "said by telephone, file 4711"}))]
pub(crate) struct VerdictBody {
    state: Said,
    /// Why this is said, for the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// Whether it has booked it, or will not.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Settled,
    Failed,
}

impl VerdictBody {
    fn checked(self) -> Result<(Verdict, String), Problem> {
        let reason = ReasonBody { reason: self.reason }.checked()?;
        let verdict = match self.state {
            Said::Settled => Verdict::Settled,
            Said::Failed => Verdict::Failed { reason: reason.clone() },
        };
        Ok((verdict, reason))
    }
}

/// How far a transaction is.
#[derive(Serialize, ToSchema)]
#[schema(as = Settlement, example = json!({"state": "accepted", "system": "transit", "at": null}))]
pub(crate) struct SettlementBody {
    /// `booked` by this server; or `accepted` for another system, which has `settled` it, or in which it has `failed`
    state: &'static str,
    /// That other system
    #[schema(value_type = Option<String>)]
    system: Option<SystemName>,
    /// When its answer was known
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

impl From<Settlement> for SettlementBody {
    fn from(settlement: Settlement) -> Self {
        let (state, system, at) = match settlement {
            Settlement::Booked => ("booked", None, None),
            Settlement::Accepted { system } => ("accepted", Some(system), None),
            Settlement::Settled { system, at } => ("settled", Some(system), Some(at)),
            Settlement::Failed { system, at } => ("failed", Some(system), Some(at)),
        };
        Self { state, system, at }
    }
}

/// An executed transaction. A terminal sees its own only; another's looks as if there were none.
#[utoipa::path(get, path = "/v1/transactions/{id}", operation_id = "show_transaction", tag = "authorisations", params(("id" = String, Path, description = "24 digits of 0-9 and a-f")),
    responses((status = 200, body = TransactionRecord), (status = 400, description = "Not an id"), (status = 404)))]
pub(crate) async fn show(
    caller: Caller<Ask>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
) -> Result<Response, Problem> {
    if id.signed().is_none() {
        return Err(Problem::malformed("a transaction's id has 24 digits of 0-9 and a-f"));
    }
    let mut found = hub.verifier.run(move |verifier| verifier.transaction(&id)).await?;
    if let Role::Terminal(terminals) = caller.role() {
        if !terminals.contains(&found.terminal) {
            return Err(ServiceError::NoSuchTransaction.into());
        }
        found.payer = None;
    }
    Ok(answer(StatusCode::OK, &found))
}

/// Which transactions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Transactions {
    /// Paid by this account
    #[param(value_type = Option<String>)]
    payer: Option<AccountNumber>,
    /// Sent by this terminal
    #[param(value_type = Option<String>)]
    terminal: Option<TerminalId>,
    /// Executed at this moment or later
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Executed at this moment or before
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// After this place: the `next` of the page before
    after: Option<String>,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What was executed, in the order of time.
#[utoipa::path(get, path = "/v1/transactions", operation_id = "list_transactions", tag = "authorisations", params(Transactions),
    responses((status = 200, body = Page<TransactionRecord>), (status = 404)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Transactions>,
) -> Result<Response, Problem> {
    let Transactions { payer, terminal, from, to, after, limit } = query;
    let (limit, after) = (page_limit(limit)?, time_place(after.as_deref())?);
    let chain = payer.map_or(Chain::All, Chain::Account);
    let sought = Sought { chain, event: None, terminal, ..Sought::between(from, to) };
    let found = hub.verifier.run(move |verifier| verifier.transactions(&sought, after, limit)).await?;
    let last = found.last().map(|(place, _)| place.to_string());
    let found = found.into_iter().map(|(_, transaction)| transaction);
    Ok(answer(StatusCode::OK, &Page::new(found, last, limit)))
}

/// Posts the opposite of an executed transaction, or of a captured hold, once.
#[utoipa::path(post, path = "/v1/transactions/{id}/reverse", operation_id = "reverse_transaction", tag = "ledger", params(("id" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = PostedBody), (status = 409)))]
pub(crate) async fn reverse(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let reverse = move |verifier: &Verifier| {
        let again = |_| id.reversal().ok_or(ServiceError::NoSuchTransaction);
        key.act(verifier, act, |desk| desk.reverse(&id), again)
    };
    let transaction = hub.verifier.run(reverse).await?;
    tracing::info!(request = caller.request(), client = caller.name(), by = %transaction, "transaction reversed");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

/// How far an executed transaction is: booked here, or accepted, settled or failed elsewhere.
#[utoipa::path(get, path = "/v1/transactions/{id}/settlement", operation_id = "show_settlement", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = SettlementBody), (status = 404)))]
pub(crate) async fn settlement(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
) -> Result<Response, Problem> {
    let settlement = hub.verifier.run(move |verifier| verifier.settlement(&id)).await?;
    Ok(answer(StatusCode::OK, &SettlementBody::from(settlement)))
}

/// Records what another system says of a transaction that was accepted for it. Saying the same again changes
/// nothing.
#[utoipa::path(post, path = "/v1/transactions/{id}/settle", operation_id = "settle_transaction", tag = "ledger", params(("id" = String, Path)),
    request_body = VerdictBody, responses((status = 200, body = SettlementBody), (status = 409)))]
pub(crate) async fn settle(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Once(body, key): Once<VerdictBody>,
) -> Result<Response, Problem> {
    let (verdict, reason) = body.checked()?;
    let act = caller.act(&reason);
    let settled = hub.verifier.run(move |verifier| {
        key.act(verifier, act, |desk| desk.settle(&id, &verdict), |_| Ok(()))?;
        Ok((verifier.settlement(&id)?, id))
    });
    let (settlement, id) = settled.await?;
    tracing::info!(request = caller.request(), client = caller.name(), transaction = %id, "another system's answer recorded");
    Ok(answer(StatusCode::OK, &SettlementBody::from(settlement)))
}
