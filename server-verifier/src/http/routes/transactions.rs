//! What became of a transaction.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::Hub;
use crate::http::caller::{Ask, Caller};
use crate::http::identity::blocking;
use crate::http::json::{Path, answer};
use crate::http::problem::{Problem, ProblemBody};
use crate::service::error::ServiceError;
use onetap_apdu_spec::service::{TransactionId, TransactionRecord};

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
    let mut found = blocking(move || hub.verifier.transaction(&id)).await?;
    if let Some(terminal) = caller.terminal() {
        if *terminal != found.terminal {
            return Err(ServiceError::NoSuchTransaction.into());
        }
        found.payer = None;
    }
    Ok(answer(StatusCode::OK, &found))
}
