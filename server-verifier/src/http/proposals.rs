//! Money moved by hand by two people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::{Key, Once};
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::Problem;
use crate::domain::{Actor, ByHand, ProposalState, ProposalView, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProposal, example = json!({"asks": {"act": "reverse", "transaction": "434152443030303100000001"}, "reason": "paid twice, ticket 4711"}))]
pub(crate) struct NewProposalBody {
    asks: ByHand,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// A proposal.
#[derive(Serialize, ToSchema)]
#[schema(as = Proposal, example = json!({"proposal": 17, "asks": {"act": "reverse", "transaction": "434152443030303100000001"}, "state": "open", "by": "admin ada", "reason": "paid twice, ticket 4711", "asked_at": "2026-03-19T14:05:31Z", "decided_at": null}))]
pub(crate) struct ProposalBody {
    /// Its number: the place of its entry in the operator's chain
    proposal: i64,
    asks: ByHand,
    /// `open`, `approved`, which is done, or `rejected`
    #[schema(value_type = String, pattern = "^(open|approved|rejected)$")]
    state: ProposalState,
    /// Who asks, as its kind and its name
    #[schema(value_type = String)]
    by: Actor,
    /// Why
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
}

impl From<ProposalView> for ProposalBody {
    fn from(view: ProposalView) -> Self {
        let ProposalView { proposal, asks, state, by, reason, asked_at, decided_at } = view;
        Self { proposal, asks, state, by, reason, asked_at, decided_at }
    }
}

/// Which proposals.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Proposals {
    /// Those only on which nobody has decided
    #[serde(default)]
    open: bool,
    /// After this one
    #[serde(default)]
    after: i64,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The proposals, oldest first.
#[utoipa::path(get, path = "/v1/proposals", operation_id = "list_proposals", tag = "ledger", params(Proposals),
    responses((status = 200, body = Page<ProposalBody>)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Proposals>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let state = query.open.then_some(ProposalState::Open);
    let found = hub.verifier.run(move |verifier| verifier.proposals(state, query.after, limit)).await?;
    let last = found.last().map(|view| view.proposal.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(ProposalBody::from), last, limit)))
}

/// Asks that money be moved by hand. Another admin approves it, and with that it is done.
#[utoipa::path(post, path = "/v1/proposals", operation_id = "propose", tag = "ledger", request_body = NewProposalBody,
    responses((status = 201, body = ProposalBody)))]
pub(crate) async fn propose(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<NewProposalBody>,
) -> Result<Response, Problem> {
    let NewProposalBody { asks, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let propose = move |verifier: &Verifier| {
        let number = key.act(verifier, act, |desk| desk.propose(&asks), |entry| Ok(entry.sequence))?;
        verifier.proposal(number)
    };
    let view = hub.verifier.run(propose).await?;
    tracing::info!(request = caller.request(), client = caller.name(), proposal = view.proposal, "proposed");
    Ok(answer(StatusCode::CREATED, &ProposalBody::from(view)))
}

/// Approves what another admin has asked for: it is done in the same commit. Where it cannot be done the proposal stays open.
#[utoipa::path(post, path = "/v1/proposals/{proposal}/approve", operation_id = "approve_proposal", tag = "ledger", params(("proposal" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = ProposalBody)))]
pub(crate) async fn approve(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(proposal): Path<i64>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    decided(&hub, &caller, proposal, (body, key), "approved", move |desk| desk.approve(proposal)).await
}

/// Says that what was asked for is not to be done; whoever asked may say so, too.
#[utoipa::path(post, path = "/v1/proposals/{proposal}/reject", operation_id = "reject_proposal", tag = "ledger", params(("proposal" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = ProposalBody)))]
pub(crate) async fn reject(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(proposal): Path<i64>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    decided(&hub, &caller, proposal, (body, key), "rejected", move |desk| desk.reject(proposal)).await
}

/// Decides on a proposal by `decide`, once, and shows what it has become.
async fn decided(
    hub: &Hub,
    caller: &Caller<Administer>,
    proposal: i64,
    (why, key): (ReasonBody, Key),
    outcome: &'static str,
    decide: impl FnOnce(&Desk<'_>) -> Result<(), ServiceError> + Send + 'static,
) -> Result<Response, Problem> {
    let act = caller.act(&why.checked()?);
    let work = move |verifier: &Verifier| {
        key.act(verifier, act, decide, |_| Ok(()))?;
        verifier.proposal(proposal)
    };
    let view = hub.verifier.run(work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), proposal, outcome, "proposal decided");
    Ok(answer(StatusCode::OK, &ProposalBody::from(view)))
}
