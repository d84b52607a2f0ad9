//! `POST /v1/authorisations`: what the whole service is for, and its hot path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use onetap_apdu_spec::service::{Answer, AuthorisationRequest};
use onetap_apdu_spec::suite::EncryptionMethod;

use super::caller::Terminal;
use super::hub::Hub;
use super::json::{self, answer};
use super::once::Key;
use super::problem::{Kind, Problem};
use super::record::Told;
use crate::rules::decide::Outcome;
use crate::rules::verify::Malformed;
use crate::service::Verifier;
use crate::service::authorise::Asked;

/// Refusals are padded to the next multiple of this after their request came, so that latency does not reveal the reason
/// (P-24): the work for one reason differs from that for another by a hundredth of it.
const PERIOD: Duration = Duration::from_millis(2);

/// Judges a transaction that a card has signed and its holder confirmed, and executes it at most once.
///
/// An answer that was lost is asked for again with the same `Idempotency-Key` and body.
#[utoipa::path(
    post,
    path = "/v1/authorisations", operation_id = "authorise",
    tag = "authorisations",
    params(("Idempotency-Key" = String, Header, pattern = "^[!-~]{1,64}$", description = "1 to 64 printable ASCII characters, no spaces, new for each attempt")),
    request_body(content = AuthorisationRequest),
    responses(
        (status = 200, description = "Decided, durably", body = Answer),
        (status = 400, description = "Not well formed"),
        (status = 409, description = "The key was used for another body"),
        (status = 429, description = "Too often"),
        (status = 503, description = "Nothing was decided; repeat with the same key"),
    )
)]
pub(crate) async fn authorise(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let terminal = match Terminal::identify(&hub, &parts).await {
        Ok(terminal) => terminal,
        Err(problem) => return problem.into_response(),
    };
    let judged = judge(&hub, &terminal, &parts.headers, body).await;
    judged.map_or_else(Problem::into_response, |outcome| respond(&outcome))
}

async fn judge(
    hub: &Arc<Hub>,
    terminal: &Terminal,
    headers: &HeaderMap,
    body: Body,
) -> Result<Outcome, Problem> {
    let key = Key::read(headers)?.ok_or_else(|| Problem::malformed(Malformed::IdempotencyKey.to_string()))?;
    let request: AuthorisationRequest = json::read(hub, headers, body).await?;
    let start = Instant::now();
    let outcome = decide(hub, terminal, key.into(), request).await?;
    hub.metrics.authorised(&outcome, start.elapsed());
    if matches!(outcome, Outcome::Refused) {
        pad(start).await;
    }
    Ok(outcome)
}

/// Waits until a refusal of what came at `start` may leave.
pub(super) async fn pad(start: Instant) {
    tokio::time::sleep_until(end_of_period(start, start.elapsed()).into()).await;
}

/// The first multiple of [`PERIOD`] after `start` for which more than `taken` has passed.
fn end_of_period(start: Instant, taken: Duration) -> Instant {
    let periods = taken.as_nanos() / PERIOD.as_nanos() + 1;
    start + PERIOD.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX))
}

fn respond(outcome: &Outcome) -> Response {
    let body = match outcome {
        Outcome::Executed(receipt) => Answer::Executed { receipt: receipt.clone() },
        Outcome::Refused => Answer::Refused,
        Outcome::InsufficientFunds => Answer::InsufficientFunds,
        Outcome::LimitExceeded => Answer::LimitExceeded,
        other => return undecided(other).into_response(),
    };
    told(answer(StatusCode::OK, &body), outcome)
}

/// The answer, and for the log what was decided.
pub(super) fn told(mut answer: Response, outcome: &Outcome) -> Response {
    answer.extensions_mut().insert(Told(outcome.into()));
    answer
}

/// What a client is told where nothing was decided.
pub(super) fn undecided(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::Malformed(malformed) => Problem::malformed(malformed.to_string()),
        Outcome::Conflict => {
            let detail = "the idempotency key was used for another body; draw a new key for a new attempt";
            Problem::new(Kind::Conflict, detail)
        }
        // The rest is Busy, or was decided and does not come here.
        _ => Problem::busy("the store is busy; repeat the same"),
    }
}

/// Lets the verifier decide. Verifying a signature takes less time than handing it to another thread; what needs
/// the private key waits its turn on one.
async fn decide(
    hub: &Arc<Hub>,
    terminal: &Terminal,
    key: String,
    request: AuthorisationRequest,
) -> Result<Outcome, Problem> {
    let client = terminal.client(&request.transaction);
    let asked = match Asked::new(client, &key, &request) {
        Ok(asked) => asked,
        Err(malformed) => return Ok(Outcome::Malformed(malformed)),
    };
    let binding = asked.binding();
    let limited = hub.limits.card(terminal.id(), binding.card);
    limited.inspect_err(|_| hub.metrics.rate_limited.increment(1))?;
    let pending = if binding.suite.encryption() == EncryptionMethod::RsaOaep {
        let (coming, client) = (hub.verifier.under_way(), client.clone());
        let submit = move |verifier: &Verifier| verifier.submit_coming(coming, &client, &key, &request);
        hub.private_key.run(&hub.verifier, submit).await?
    } else {
        let claimed = hub.verifier.claimed(binding).await?;
        hub.verifier.submit(&claimed, asked)?
    };
    Ok(pending.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_padded_to_the_next_multiple_of_two_milliseconds() {
        let start = Instant::now();
        for (taken, leaves) in
            [(0, 2_000), (1, 2_000), (1_999, 2_000), (2_000, 4_000), (2_001, 4_000), (7_500, 8_000)]
        {
            let end = end_of_period(start, Duration::from_micros(taken));
            assert_eq!(end - start, Duration::from_micros(leaves), "after {taken} µs");
        }
    }
}
