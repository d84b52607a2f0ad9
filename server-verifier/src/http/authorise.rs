//! `POST /v1/authorisations`: what the whole service is for, and its hot path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use onetap_apdu_spec::service::{Answer, AuthorisationRequest, IDEMPOTENCY_KEY};
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::EncryptionMethod;

use super::Hub;
use super::caller::Terminal;
use super::identity::blocking;
use super::json;
use super::json::answer;
use super::problem::Kind;
use super::problem::Problem;
use super::problem::ProblemBody;
use crate::rules::decide::Outcome;
use crate::rules::verify::Malformed;

/// A refusal leaves at a multiple of this after its request came, so that the time does not tell what was wrong
/// either: the work for one reason differs from that for another by a hundredth of it (P-24).
const BEAT: Duration = Duration::from_millis(2);
/// Judges a transaction that a card has signed and its holder confirmed, and executes it at most once.
///
/// An answer that was lost is asked for again with the same `Idempotency-Key` and body.
#[utoipa::path(
    post,
    path = "/v1/authorisations",
    tag = "authorisations",
    params(("Idempotency-Key" = String, Header, description = "1 to 64 printable ASCII characters, no spaces, new for each attempt")),
    request_body(content = AuthorisationRequest),
    responses(
        (status = 200, description = "Decided, durably", body = Answer),
        (status = 400, description = "Not well formed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The key was used for another body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too often", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nothing was decided; repeat with the same key", body = ProblemBody, content_type = "application/problem+json"),
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
    let key = idempotency_key(headers)?;
    let request: AuthorisationRequest = json::read(hub, headers, body).await?;
    let start = Instant::now();
    let outcome = match SignatureMessage::parse(&request.signature_message) {
        Err(error) => Outcome::Malformed(Malformed::Signature(error)),
        Ok(message) => {
            let binding = message.header.binding;
            let limited = hub.limits.card(terminal.id(), binding.card);
            limited.inspect_err(|_| hub.metrics.rate_limited.increment(1))?;
            let uses_private_key = binding.suite.encryption() == EncryptionMethod::RsaOaep;
            decide(hub, terminal, key, request, uses_private_key).await?
        }
    };
    hub.metrics.authorised(&outcome, start.elapsed());
    if matches!(outcome, Outcome::Refused) {
        rest_until_beat(start).await;
    }
    Ok(outcome)
}

/// Waits until a refusal of what came at `start` may leave.
pub(super) async fn rest_until_beat(start: Instant) {
    tokio::time::sleep_until(next_beat(start).into()).await;
}

/// The first beat after `start` that is not over.
fn next_beat(start: Instant) -> Instant {
    let beats = start.elapsed().as_nanos() / BEAT.as_nanos() + 1;
    start + BEAT.saturating_mul(u32::try_from(beats).unwrap_or(u32::MAX))
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = all.next().and_then(|key| key.to_str().ok()).filter(|_| all.next().is_none());
    key.map(str::to_owned).ok_or_else(|| Problem::malformed(Malformed::IdempotencyKey.to_string()))
}

fn respond(outcome: &Outcome) -> Response {
    let body = match outcome {
        Outcome::Executed(receipt) => Answer::Executed { receipt: receipt.clone() },
        Outcome::Refused => Answer::Refused,
        Outcome::InsufficientFunds => Answer::InsufficientFunds,
        Outcome::LimitExceeded => Answer::LimitExceeded,
        other => return undecided(other).into_response(),
    };
    answer(StatusCode::OK, &body)
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
    uses_private_key: bool,
) -> Result<Outcome, Problem> {
    if !uses_private_key && !hub.verifier.reads_remotely() {
        return Ok(hub.verifier.submit(terminal.client(), &key, &request)?.await?);
    }
    let (verifier, client) = (Arc::clone(&hub.verifier), terminal.client().clone());
    let coming = if uses_private_key { verifier.under_way() } else { None };
    let submit = move || verifier.submit_coming(coming, &client, &key, &request);
    let pending =
        if uses_private_key { hub.private_key.run(submit).await? } else { blocking(submit).await? };
    Ok(pending.await?)
}
