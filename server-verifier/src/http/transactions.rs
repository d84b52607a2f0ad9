//! What became of a transaction, and its opposite.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::service::{SystemName, TransactionId, TransactionRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Administer, Ask, Caller, Read};
use super::hub::Hub;
use super::json::{Json, Path, answer};
use super::parts::ReasonBody;
use super::problem::{Problem, ProblemBody};
use crate::domain::{Settlement, Timestamp, Verdict};
use crate::service::error::ServiceError;

/// A transaction that was posted.
#[derive(Serialize, ToSchema)]
#[schema(as = Posted)]
pub(crate) struct PostedBody {
    /// Its id
    #[schema(value_type = String)]
    pub(super) transaction: TransactionId,
}

/// What another system says of a transaction that was accepted for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Verdict)]
pub(crate) struct VerdictBody {
    state: Said,
    /// Why this is said, for the audit log
    #[schema(min_length = 1, max_length = 500)]
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
#[schema(as = Settlement)]
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
#[utoipa::path(get, path = "/v1/transactions/{id}", tag = "authorisations", params(("id" = String, Path, description = "24 digits of 0-9 and a-f")),
    responses((status = 200, body = TransactionRecord), (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn show(
    caller: Caller<Ask>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
) -> Result<Response, Problem> {
    if id.signed().is_none() {
        return Err(Problem::malformed("a transaction's id has 24 digits of 0-9 and a-f"));
    }
    let mut found = hub.verifier.run(move |verifier| verifier.transaction(&id)).await?;
    if let Some(terminal) = caller.terminal() {
        if *terminal != found.terminal {
            return Err(ServiceError::NoSuchTransaction.into());
        }
        found.payer = None;
    }
    Ok(answer(StatusCode::OK, &found))
}

/// Posts the opposite of an executed transaction, or of a captured hold, once.
#[utoipa::path(post, path = "/v1/transactions/{id}/reverse", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = PostedBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn reverse(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let reversed = hub.verifier.run(move |verifier| verifier.desk(act).reverse(&id));
    let transaction = reversed.await?;
    tracing::info!(request = caller.request(), client = caller.name(), by = %transaction, "transaction reversed");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

/// How far an executed transaction is: booked here, or accepted, settled or failed elsewhere.
#[utoipa::path(get, path = "/v1/transactions/{id}/settlement", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = SettlementBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
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
#[utoipa::path(post, path = "/v1/transactions/{id}/settle", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = SettlementBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn settle(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Json(body): Json<VerdictBody>,
) -> Result<Response, Problem> {
    let (verdict, reason) = body.checked()?;
    let act = caller.act(&reason);
    let settled = hub.verifier.run(move |verifier| {
        verifier.desk(act).settle(&id, &verdict)?;
        Ok((verifier.settlement(&id)?, id))
    });
    let (settlement, id) = settled.await?;
    tracing::info!(request = caller.request(), client = caller.name(), transaction = %id, "another system's answer recorded");
    Ok(answer(StatusCode::OK, &SettlementBody::from(settlement)))
}
