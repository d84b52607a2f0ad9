//! Terminals: who may be a client's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::Once;
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::Problem;
use crate::domain::{TerminalView, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;

/// A terminal.
#[derive(Serialize, ToSchema)]
#[schema(as = Terminal, example = json!({"terminal": "TERM0001"}))]
pub(crate) struct TerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String, pattern = "^[0-9A-Za-z]{8}$")]
    terminal: TerminalId,
}

/// A terminal, and since when it may send requests.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisteredTerminal, example = json!({"terminal": "TERM0001", "registered_at": "2026-03-19T14:05:31Z", "withdrawn_at": null}))]
pub(crate) struct RegisteredBody {
    /// Eight letters or digits
    #[schema(value_type = String, pattern = "^[0-9A-Za-z]{8}$")]
    terminal: TerminalId,
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    withdrawn_at: Option<Timestamp>,
}

impl From<TerminalView> for RegisteredBody {
    fn from(view: TerminalView) -> Self {
        let TerminalView { terminal, registered_at, withdrawn_at } = view;
        Self { terminal, registered_at, withdrawn_at }
    }
}

/// Which terminals.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Terminals {
    /// After this one
    #[param(value_type = Option<String>)]
    after: Option<TerminalId>,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// All terminals by their ids, withdrawn ones too.
#[utoipa::path(get, path = "/v1/terminals", operation_id = "list_terminals", tag = "clients", params(Terminals),
    responses((status = 200, body = Page<RegisteredBody>)))]
pub(crate) async fn list_terminals(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Terminals>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let found = hub.verifier.run(move |verifier| verifier.terminals(query.after.as_ref(), limit)).await?;
    let last = found.last().map(|view| view.terminal.as_str().to_owned());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(RegisteredBody::from), last, limit)))
}

/// A terminal to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTerminal, example = json!({"terminal": "TERM0001", "reason": "contract 17"}))]
pub(crate) struct NewTerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String, pattern = "^[0-9A-Za-z]{8}$")]
    terminal: TerminalId,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// Registers a terminal: it may send requests, once it has a client.
#[utoipa::path(post, path = "/v1/terminals", operation_id = "register_terminal", tag = "clients",
    request_body = NewTerminalBody, responses((status = 201, body = TerminalBody)))]
pub(crate) async fn register_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<NewTerminalBody>,
) -> Result<Response, Problem> {
    let NewTerminalBody { terminal, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let body = TerminalBody { terminal: terminal.clone() };
    let register = move |verifier: &Verifier| {
        let work = |desk: &Desk<'_>| desk.register_terminal(terminal).map(drop);
        key.act(verifier, act, work, |_| Ok(()))
    };
    hub.verifier.run(register).await?;
    tracing::info!(
        request = caller.request(),
        client = caller.name(),
        terminal = body.terminal.as_str(),
        "terminal registered"
    );
    Ok(answer(StatusCode::CREATED, &body))
}

/// Withdraws a terminal for good. Its clients, too, are shut out within seconds.
#[utoipa::path(post, path = "/v1/terminals/{terminal}/withdraw", operation_id = "withdraw_terminal", tag = "clients", params(("terminal" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = TerminalBody), (status = 404)))]
pub(crate) async fn withdraw_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(terminal): Path<TerminalId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let (withdrawn, act) = (terminal.clone(), caller.act(&body.checked()?));
    let withdraw = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.withdraw_terminal(&withdrawn), |_| Ok(()))
    };
    hub.verifier.run(withdraw).await?;
    hub.identity.forget_terminal(&terminal);
    tracing::info!(
        request = caller.request(),
        client = caller.name(),
        terminal = terminal.as_str(),
        "terminal withdrawn"
    );
    Ok(answer(StatusCode::OK, &TerminalBody { terminal }))
}
