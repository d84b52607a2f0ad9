//! What became of a transaction.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::wire::TransactionBody;
use crate::decide::TransactionId;
use crate::error::ServiceError;
use crate::http::Hub;
use crate::http::caller::{Ask, Caller};
use crate::http::identity::blocking;
use crate::http::json::{Path, answer};
use crate::http::problem::{Problem, ProblemBody};

/// An executed transaction. A terminal sees its own only; another's looks as if there were none.
#[utoipa::path(get, path = "/v1/transactions/{id}", tag = "authorisations", params(("id" = String, Path)),
    responses((status = 200, body = TransactionBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn show(
    caller: Caller<Ask>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = blocking(move || hub.verifier.transaction(&TransactionId(id))).await?;
    let terminal = caller.terminal();
    if terminal.is_some_and(|terminal| *terminal != found.terminal) {
        return Err(ServiceError::NoSuchTransaction.into());
    }
    Ok(answer(StatusCode::OK, &TransactionBody::new(&found, terminal.is_none())))
}
