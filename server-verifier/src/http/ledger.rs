//! Whether all sums hold.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::caller::{Caller, Read};
use super::hub::Hub;
use super::inspection::{LedgerBody, Running};
use super::json::answer;
use super::problem::Problem;

/// Checks every sum: transactions, accounts, holds, currencies. One check or verification at a time.
#[utoipa::path(get, path = "/v1/ledger/check", operation_id = "check_ledger", tag = "ledger",
    responses((status = 200, body = LedgerBody), (status = 409)))]
pub(crate) async fn check(caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let running = Running::begin(&hub.inspection, hub.verifier.now())?;
    let by = caller.name().to_owned();
    let checked = hub.verifier.run(move |verifier| running.check_ledger(verifier, &by)).await?;
    Ok(answer(StatusCode::OK, &checked))
}
