//! `POST /v1/cancellations`: the end of an attempt whose outcome its terminal does not know.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::service::{Cancellation, Resolution};

use super::authorisations::{pad, told, undecided};
use super::caller::Terminal;
use super::hub::Hub;
use super::json::{Json, answer};
use super::problem::Problem;
use crate::rules::decide::Outcome;
use crate::rules::verify::Parsed;

/// Makes sure that what a card has signed is never executed, or tells that it was.
///
/// The body is the request's without the password. No idempotency key is needed: the same cancellation gets the same answer.
#[utoipa::path(
    post,
    path = "/v1/cancellations", operation_id = "cancel",
    tag = "authorisations",
    request_body(content = Cancellation),
    responses(
        (status = 200, description = "Decided, durably and for good", body = Resolution, examples(
            ("executed" = (summary = "It was executed before", value = json!({
                "outcome": "executed",
                "receipt": {
                    "transaction": "0123456789abcdef00000001",
                    "kind": "payment",
                    "amount": 1234,
                    "currency": "EUR",
                    "payee": "1000000000009",
                    "payee_name": "Coffee Shop",
                    "reference": "order 7",
                    "executed_at": "2026-09-21T14:13:20Z"
                }
            }))),
            ("cancelled" = (summary = "It never will be", value = json!({"outcome": "cancelled"}))),
            ("refused" = (summary = "Not signed by an enrolled card, or of another terminal", value = json!({"outcome": "refused"})))
        )),
        (status = 400, description = "Not well formed"),
        (status = 422, description = "This card's profile has no cancellation"),
        (status = 429, description = "Too often"),
        (status = 503, description = "Nothing was decided; repeat"),
    )
)]
pub(crate) async fn cancel(
    terminal: Terminal,
    State(hub): State<Arc<Hub>>,
    Json(cancellation): Json<Cancellation>,
) -> Result<Response, Problem> {
    let start = Instant::now();
    let outcome = decide(&hub, &terminal, &cancellation).await?;
    hub.metrics.cancelled(&outcome);
    let resolution = match &outcome {
        Outcome::Executed(receipt) => Resolution::Executed { receipt: receipt.clone() },
        Outcome::Cancelled => Resolution::Cancelled,
        Outcome::Refused => {
            pad(start).await;
            Resolution::Refused
        }
        other => return Err(undecided(other)),
    };
    Ok(told(answer(StatusCode::OK, &resolution), &outcome))
}

/// Lets the verifier decide; no private key is needed.
async fn decide(hub: &Hub, terminal: &Terminal, cancellation: &Cancellation) -> Result<Outcome, Problem> {
    let client = terminal.client(&cancellation.transaction);
    let parsed = match Parsed::cancellation(cancellation) {
        Ok(parsed) => parsed,
        Err(malformed) => return Ok(Outcome::Malformed(malformed)),
    };
    let binding = parsed.header().binding;
    let limited = hub.limits.card(terminal.id(), binding.card);
    limited.inspect_err(|_| hub.metrics.rate_limited.increment(1))?;
    let claimed = hub.verifier.claimed(binding).await?;
    Ok(hub.verifier.submit_cancellation(&claimed, client, parsed)?.await?)
}
