//! Terminals: who may be a client's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Administer, Caller};
use super::hub::Hub;
use super::json::{Json, Path, answer};
use super::parts::ReasonBody;
use super::problem::{Problem, ProblemBody};

/// A terminal.
#[derive(Serialize, ToSchema)]
#[schema(as = Terminal)]
pub(crate) struct TerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String)]
    terminal: TerminalId,
}

/// A terminal to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTerminal)]
pub(crate) struct NewTerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String)]
    terminal: TerminalId,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Registers a terminal: it may send requests, once it has a client.
#[utoipa::path(post, path = "/v1/terminals", tag = "clients",
    responses((status = 201, body = TerminalBody)))]
pub(crate) async fn register_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<NewTerminalBody>,
) -> Result<Response, Problem> {
    let NewTerminalBody { terminal, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let body = TerminalBody { terminal: terminal.clone() };
    hub.verifier.run(move |verifier| verifier.desk(act).register_terminal(terminal)).await?;
    tracing::info!(
        request = caller.request(),
        client = caller.name(),
        terminal = body.terminal.as_str(),
        "terminal registered"
    );
    Ok(answer(StatusCode::CREATED, &body))
}

/// Withdraws a terminal for good. Its clients, too, are shut out within seconds.
#[utoipa::path(post, path = "/v1/terminals/{terminal}/withdraw", tag = "clients", params(("terminal" = String, Path)),
    responses((status = 200, body = TerminalBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn withdraw_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(terminal): Path<TerminalId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let (withdrawn, act) = (terminal.clone(), caller.act(&body.checked()?));
    hub.verifier.run(move |verifier| verifier.desk(act).withdraw_terminal(&withdrawn)).await?;
    hub.identity.forget_terminal(&terminal);
    tracing::info!(
        request = caller.request(),
        client = caller.name(),
        terminal = terminal.as_str(),
        "terminal withdrawn"
    );
    Ok(answer(StatusCode::OK, &TerminalBody { terminal }))
}
